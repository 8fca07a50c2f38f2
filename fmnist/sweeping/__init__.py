"""How missing runs are computed: what comes next, where, in which process, and what a person sees of it."""
