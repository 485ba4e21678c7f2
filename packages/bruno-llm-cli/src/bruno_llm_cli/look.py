"""How a report's page looks.

The colours of providers are told apart with every common kind of colour blindness (checked with
the matrices of Machado, Oliveira and Fernandes 2009) and stand out from the ground at 3:1 (WCAG
2.2, 1.4.11); text does at 4.5:1 (1.4.3).
"""

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --card: #fff; --text: #1b222c; --quiet: #5a6472; --line: #e3e6ea;
  --note: #fff6e5; --edge: #b7791f; --in: #8796ad; --out: #2b3f5c;
  --c0: #4455c7; --c1: #cc751d; --c2: #009e5f; --c3: #75478a; --c4: #03213b; --rest: #8a919e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1216; --card: #171b22; --text: #e8ebef; --quiet: #9aa4b2; --line: #2a313b;
    --note: #2a2213; --edge: #d9a441; --in: #66778f; --out: #d5deea;
    --c0: #619bf2; --c1: #ef9152; --c2: #2fd0b5; --c3: #966cb1; --c4: #efe6b8; --rest: #7d8694;
  }
}
* { box-sizing: border-box; margin: 0; padding: 0; }
body {
  max-width: 72rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem;
  background: var(--ground); color: var(--text);
  font: 400 0.9375rem/1.5 "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.25rem 1rem; }
header { margin-bottom: 1.5rem; }
h1 { font-size: 1.625rem; font-weight: 650; letter-spacing: -0.015em; }
h2 { font-size: 1rem; font-weight: 600; margin-bottom: 0.75rem; }
header p, section p, small { color: var(--quiet); }
main { display: grid; gap: 1rem; }
section, .figures div, .empty {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem;
  min-width: 0;
}
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1rem; }
.figures dt { color: var(--quiet); font-size: 0.8125rem; }
.figures dd { font-size: 1.75rem; font-weight: 600; letter-spacing: -0.02em; line-height: 1.3; }
.figures small { display: block; font-size: 0.8125rem; font-weight: 400; letter-spacing: 0; }
.figures dd, .number, .legend b, text { font-variant-numeric: tabular-nums; }
.notes {
  list-style: none; background: var(--note); border-left: 3px solid var(--edge);
  border-radius: 4px; padding: 0.625rem 1rem; font-size: 0.875rem;
}
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.pair section:only-child { grid-column: 1 / -1; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.legend { margin-bottom: 1.25rem; font-size: 0.8125rem; color: var(--quiet); }
.legend b { color: var(--text); font-weight: 600; }
i { display: inline-block; width: 0.625rem; height: 0.625rem; border-radius: 2px; }
i { margin-right: 0.5rem; }
svg { display: block; overflow: visible; }
svg.days { height: 15rem; width: calc(100% - 4.25rem); margin: 0.5rem 0.75rem 1.75rem 3.5rem; }
svg text { fill: var(--text); font-size: 13px; }
.grid text { fill: var(--quiet); font-size: 12px; }
.grid line { stroke: var(--line); shape-rendering: crispEdges; }
.c0 { fill: var(--c0); background: var(--c0); }
.c1 { fill: var(--c1); background: var(--c1); }
.c2 { fill: var(--c2); background: var(--c2); }
.c3 { fill: var(--c3); background: var(--c3); }
.c4 { fill: var(--c4); background: var(--c4); }
.rest { fill: var(--rest); background: var(--rest); }
.in { fill: var(--in); background: var(--in); }
.out { fill: var(--out); background: var(--out); }
.scroll { overflow-x: auto; margin: 0 -1.25rem; padding: 0 1.25rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; white-space: nowrap; }
th, td { padding: 0.4375rem 1.25rem 0.4375rem 0; text-align: left; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
tr { border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-size: 0.8125rem; vertical-align: bottom; }
tfoot tr { border: 0; }
tfoot th, tfoot td { font-weight: 600; }
.number { text-align: right; }
footer { margin-top: 1.25rem; font-size: 0.8125rem; color: var(--quiet); }
code { font-family: ui-monospace, Menlo, Consolas, monospace; }
@media (max-width: 48rem) {
  body { padding: 1.25rem 1rem 3rem; }
  .figures { grid-template-columns: 1fr 1fr; gap: 0.75rem; }
  .figures dd { font-size: 1.375rem; }
  .pair { grid-template-columns: 1fr; }
  section, .figures div, .empty { padding: 1rem; }
  .scroll { margin: 0 -1rem; padding: 0 1rem; }
  th, td { padding-right: 0.75rem; }
  i { margin-right: 0.375rem; }
}
@media print { body { background: none; } section { break-inside: avoid-page; } }
"""
