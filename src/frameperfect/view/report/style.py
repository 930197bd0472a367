"""How the page looks: light and dark by the reader's setting, one column on a phone."""

STYLE = """
:root { --page: #f7f7f4; --card: #fff; --ink: #1d2129; --quiet: #626977; --line: #dddfe3; --grid: #e6e8ec;
  --good: #1a7f3c; --bad: #b3261e; --accent: #b45f06;
  --s0: #c2570c; --s1: #0a6fb0; --s2: #1a8f55; --s3: #a8438a; --s4: #8a7a00; --s5: #5a4fcf; --s6: #c0392b;
  --s7: #5f6b7a; }
@media (prefers-color-scheme: dark) { :root { --page: #12141a; --card: #1a1d25; --ink: #e4e7ee;
  --quiet: #9aa2b1; --line: #2c313c; --grid: #2a2f3a; --good: #5ecb82; --bad: #ff7b6e; --accent: #ffb02e;
  --s0: #ffb02e; --s1: #56b4e9; --s2: #5ec978; --s3: #e279b6; --s4: #f0e442; --s5: #a79cff; --s6: #f06e54;
  --s7: #aab2be; } }
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .7rem; }
p { margin: .4rem 0; }
.quiet { color: var(--quiet); font-weight: 400; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem 1.1rem; margin-top: 1rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem;
  background: none; border: 0; padding: 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .7rem .9rem; }
.facts b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.facts span { color: var(--quiet); font-size: .85rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
video { display: block; width: 100%; max-width: 40rem; height: auto; margin: 0 auto;
  border-radius: 6px; background: #000; image-rendering: pixelated; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font-size: 13px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--grid); fill: none; } .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.level { fill: none; stroke-width: 1.5; stroke-dasharray: 6 4; } .band { stroke: none; opacity: .13; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .88rem; color: var(--quiet); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; }
th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
tr:last-child td, tr:last-child th { border-bottom: 0; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.n { text-align: right; }
tr.own td { font-weight: 600; }
.whisker { width: 9rem; min-width: 6rem; height: 16px; }
.whisker .range { stroke: var(--s1); stroke-width: 3; } .whisker rect { fill: var(--ink); }
pre, code { font: .88rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem;
  margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
td code, dd code { overflow-wrap: anywhere; }
details > summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .5rem 0 0;
  font-size: .93rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) { main { padding: 1rem .6rem 2rem; } section { padding: .8rem; }
  svg text { font-size: 20px; } td:first-child { min-width: 9.5rem; }
  .facts { grid-template-columns: 1fr 1fr; } .facts b { font-size: 1.15rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
""" + "".join(
    f".curve.s{i}, .level.s{i} {{ stroke: var(--s{i}); }} .band.s{i} {{ fill: var(--s{i}); }} "
    f".key.s{i} {{ background: var(--s{i}); }}\n"
    for i in range(8)
)
