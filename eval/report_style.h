#pragma once

namespace limewash::eval {

/// The style sheet of report.html.
inline constexpr const char* kReportStyle = R"css(
:root { color-scheme: light; --ink: #22262e; --faint: #6c727c; --line: #e0e2e6; --paper: #fff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f5f7; color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 18px; margin: 36px 0 10px; }
p { margin: 6px 0; max-width: 80ch; }
.faint { color: var(--faint); }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 8px 0 20px; color: var(--faint); }
.facts b { color: var(--ink); font-weight: 600; }
.tiles, .charts { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); }
.tile, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile .value { font-size: 25px; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .name { color: var(--faint); font-size: 13px; }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 6px 9px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; font-size: 12.5px; color: var(--faint); vertical-align: bottom; }
th:first-child, td:first-child, td.left, th.left { text-align: left; }
tr.best td { background: #eaf4ec; }
tr.control td { color: #4b5563; background: #fafafa; }
tr:last-child td { border-bottom: 0; }
.chip { display: inline-block; width: 15px; height: 15px; border-radius: 3px; border: 1px solid #0003; vertical-align: -2px; margin-right: 7px; }
img { max-width: 100%; display: block; margin-top: 8px; border: 1px solid var(--line); border-radius: 4px; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--faint); }
svg .title { font-size: 14.5px; font-weight: 600; fill: var(--ink); }
svg .grid { stroke: var(--line); }
)css";

}  // namespace limewash::eval
