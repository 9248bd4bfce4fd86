"""How the formulas are computed: in tiles, over threads and ranks, on GPUs. Private: formulas call it, nobody else."""
