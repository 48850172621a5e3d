#pragma once

namespace limewash::eval {

/// The style sheet of all pages: light, dark by the reader's preference, and on paper. The colours
/// of the curves (Okabe and Ito's, darkened on light paper) can be told apart by colour-blind
/// readers.
inline constexpr const char* kReportStyle = R"css(
:root { color-scheme: light dark; --ink: #22262e; --faint: #5f6570; --line: #dfe1e6; --paper: #fff;
  --page: #f4f5f7; --best: #e4f2e7; --control: #f7f7f8; --bad: #a32f3d; --link: #0b5cad;
  --curve-0: #0072b2; --curve-1: #d55e00; --curve-2: #00795b; --curve-3: #a83279; --curve-4: #8a6a00;
  --curve-5: #5d636e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --faint: #a0a7b3; --line: #3a404a; --paper: #20242b; --page: #16191e;
    --best: #1f3a29; --control: #262b33; --bad: #ff8b95; --link: #7cb7ff;
    --curve-0: #56b4e9; --curve-1: #f08a3c; --curve-2: #2fc79a; --curve-3: #e58fbf; --curve-4: #f0e442;
    --curve-5: #b4bac4; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 28px 24px 60px; }
a { color: var(--link); }
h1 { font-size: 26px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 15px; margin: 18px 0 6px; overflow-wrap: anywhere; }
p { margin: 6px 0; max-width: 80ch; }
.faint { color: var(--faint); }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 8px 0 20px; color: var(--faint); }
.facts b { color: var(--ink); font-weight: 600; }
.tiles, .charts { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
.tile, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile .value { font-size: 25px; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .name { color: var(--faint); font-size: 13px; overflow-wrap: anywhere; }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 4px 7px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; font-size: 12.5px; color: var(--faint); vertical-align: bottom; }
th:first-child, td:first-child, td.left, th.left { text-align: left; }
td.wrap { white-space: normal; overflow-wrap: anywhere; text-align: left; }
tr.best td, td.best { background: var(--best); }
td.best { font-weight: 650; }
tr.control td { color: var(--faint); background: var(--control); }
tr.group th { padding-top: 14px; color: var(--ink); text-align: left; }
tr:last-child td { border-bottom: 0; }
.warning { color: var(--bad); }
.letter { display: inline-block; min-width: 1.5em; padding: 0 4px; margin-right: 6px; border-radius: 4px; color: var(--paper);
  text-align: center; font-weight: 650; }
.chip { display: inline-block; width: 15px; height: 15px; border-radius: 3px; border: 1px solid #8888; vertical-align: -2px; margin-right: 7px; }
.bar { display: inline-block; height: 9px; border-radius: 2px; margin-left: 8px; background: var(--curve-0); }
.bars { width: 34%; text-align: left; }
img { max-width: 100%; display: block; margin-top: 8px; border: 1px solid var(--line); border-radius: 4px; }
.cases { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); }
.cases figure { margin: 0; } .cases figcaption { font-size: 13px; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--faint); }
svg .title { font-size: 14.5px; font-weight: 600; fill: var(--ink); }
svg .grid { stroke: var(--line); }
.curve-0 { --curve: var(--curve-0); } .curve-1 { --curve: var(--curve-1); } .curve-2 { --curve: var(--curve-2); }
.curve-3 { --curve: var(--curve-3); } .curve-4 { --curve: var(--curve-4); } .curve-5 { --curve: var(--curve-5); }
svg path.curve, svg line.curve { stroke: var(--curve); fill: none; }
svg .mark, svg text.mark { fill: var(--curve); } svg text.mark { font-weight: 700; }
.letter { background: var(--curve); }
@media print {
  :root { color-scheme: light; --page: #fff; } body { font-size: 12px; } main { max-width: none; padding: 0; }
  .card, .tile, figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .card { overflow: visible; } th, td { padding: 3px 5px; white-space: normal; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace limewash::eval
