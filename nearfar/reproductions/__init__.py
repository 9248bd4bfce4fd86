"""One file per system: the paper's claim, its baseline, the data and the metric, re-tested at laptop scale."""
