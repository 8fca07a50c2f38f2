"""The own CNNs in float32 and in bfloat16: does the faster arithmetic classify as well?

    python jobs/study.py precision

For a CPU with AVX-512 BF16 or AMX, or a GPU with tensor cores: elsewhere bfloat16 is some 18 times slower than float32.
Equivalent means that test accuracies differ by less than 0.3 points; `precision="auto"` of an architecture is to be
trusted only where the report of this study says so.

Expected time: 2 h 5 min on 2 cores, 65 min where the rows of study `comparison` are there, whose float32 runs serve
here too. Expected test accuracy: own_v1 91.4 to 92.2 %, own_v3 91.3 to 92.6 %, in both precisions.
"""

from fmnist.declare import DEFAULT_MARGINS, Study, configure

STUDY = Study(
    name="precision",
    question="Are the own CNNs as accurate when they are trained in bfloat16?",
    configurations=tuple(
        configure(architecture, label=f"{architecture} {name}", precision=precision)
        for architecture in ("own_v1", "own_v3")
        for name, precision in (("float32", "float32"), ("bfloat16", "mixed_bfloat16"))
    ),
    repeats=15,
    margins={**DEFAULT_MARGINS, "test_accuracy": 0.003},
)
