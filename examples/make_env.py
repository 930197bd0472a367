"""Make one environment and a vector of them, play at random, and keep the best run as a movie.

python examples/make_env.py [GAME]
"""

import sys

import frameperfect as fp

game = sys.argv[1] if len(sys.argv) > 1 else "Airstriker-Genesis"

with fp.make_env(game, observation="ram", frame_skip=4) as env:
    observation, info = env.reset(seed=1)
    print(env.action_names)
    for _ in range(100):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        if terminated or truncated:
            break
    print(info)

envs = fp.make_vec(game, 8, observation="pixels", frame_skip=4, sticky=0.25, max_steps=500)
envs.reset(seed=1)
returns, best, movie = [0.0] * 8, float("-inf"), None
for _ in range(1000):
    envs.send(envs.action_space.sample())
    # ... time to think, while the games run ...
    _, rewards, terminated, truncated, infos = envs.recv()
    for i, reward in enumerate(rewards):
        returns[i] += reward
        if terminated[i] or truncated[i]:
            if returns[i] > best:
                best, movie = returns[i], envs.movie(i)
            returns[i] = 0.0
envs.close()

assert movie is not None
with fp.open(game) as machine:
    movie.check(machine)  # raises Desync if the memory is not the recorded one
print(f"best of the random runs: {best:g} in {movie.frames} frames, and it replays")
