"""Colours and what goes into the page: a style sheet, and keys that reach the controls.

JupyterLab's own variables make both themes work.
"""

RIGHT = "#2e9e5b"
WRONG = "#d9534f"
NEUTRAL = "#888888"
HINT = "aw-hint"  # class of what concerns the page alone: left out of figures

SHEET = """<style>
.aw-view { padding: 4px 10px 4px 2px; overflow: hidden; }
.aw-view .widget-html-content, .aw-view .jupyter-widgets { font-size: 12px; }
.aw-title { font: 600 13px/20px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #212121); }
.aw-title span { margin-left: 4px; font-weight: 400; color: var(--jp-ui-font-color2, #616161); }
.aw-note { font: 12px/18px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color2, #616161); }
.aw-error { font: 12px/18px var(--jp-ui-font-family, sans-serif); padding: 4px 8px;
  border-left: 3px solid #d9534f; color: var(--jp-ui-font-color1, #212121);
  background: rgba(217, 83, 79, .12); }
.aw-view select { color: var(--jp-ui-font-color1, #212121); }
.aw-view .aw-old { opacity: .35; }
.aw-unrecorded > :not(.aw-banner) { height: 0 !important; min-height: 0 !important;
  margin: 0 !important; padding: 0 !important; overflow: hidden !important; visibility: hidden; }
.aw-list select { font: 11px/16px var(--jp-code-font-family, monospace); padding: 2px 4px; }
.aw-table { font: 12px/17px var(--jp-ui-font-family, sans-serif); border-collapse: collapse;
  color: var(--jp-ui-font-color1, #212121); margin: 2px 0 4px 8px; }
.aw-table th { font-weight: 400; text-align: right; padding: 0 10px 0 4px;
  color: var(--jp-ui-font-color2, #616161); }
.aw-table td { text-align: right; padding: 0 10px; font-variant-numeric: tabular-nums; }
.aw-table tr.aw-rule > * { border-top: 1px solid rgba(128, 128, 128, .4); padding-top: 2px; }
.aw-table tr.aw-chosen { background: rgba(63, 167, 160, .22); }
.aw-model { font-size: 14px; margin: 4px 0 0 2px; }
.jupyter-widgets.aw-pages > .widget-tab-contents { padding: 6px 0 0 6px; border: 0;
  overflow: visible; }
.jupyter-widgets.aw-pages > .lm-TabBar .lm-TabBar-tab { flex: 1 1 auto; max-width: 144px; }
.aw-view button.aw-crumb { border-radius: 12px; padding: 0 10px; font-size: 12px;
  background: rgba(63, 167, 160, .18); color: var(--jp-ui-font-color1, #212121); }
.aw-view .bqplot { background: transparent; }
.aw-view .bqplot text { fill: var(--jp-ui-font-color1, #212121); pointer-events: none; }
.aw-view .bqplot .axislabel { fill: var(--jp-ui-font-color2, #616161) !important; font-size: 12px;
  font-weight: 400; } /* bqplot has it orange in the dark */
.aw-view .bqplot .plotarea_background { fill: transparent; }
.aw-labels .bqplot .label { font-family: var(--jp-ui-font-family, sans-serif); }
.aw-outlined .bqplot .curve path { pointer-events: none; } /* or it takes what cells are told */
.aw-view .bqplot .heatmapcell { cursor: pointer; fill: #c8c8c8; } /* where it has no value */
</style>"""

# JupyterLab takes the arrow keys of whatever has the focus in a notebook to walk through the
# cells. This attribute, which its key bindings respect, leaves them to lists and sliders.
KEYS = """<img hidden src="data:," onerror="this.closest('.aw-view').addEventListener('focusin',
  (event) => { if (event.target.matches('select, .noUi-handle'))
    event.target.dataset.lmSuppressShortcuts = ''; })">"""

# Tells the kernel, by way of a hidden button, that the mouse has left the cells of a figure.
LEAVING = """<img hidden src="data:," onerror="this.closest('.aw-view').addEventListener('mouseout',
  (event) => { const figure = event.target.matches('.heatmapcell')
      && event.target.closest('.bqplot'), to = event.relatedTarget;
    if (figure && !(to?.matches('.heatmapcell') && figure.contains(to)))
      event.currentTarget.querySelector('.aw-left')?.click(); })">"""
