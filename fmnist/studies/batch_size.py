"""The two nets that fall short of the report's accuracy, in batches of 128 and of 32: is the batch why?

    python jobs/study.py batch_size

The report does not say how large its batches were; 32 is what Keras takes unless told otherwise. Decided on validation
accuracy, so that the answer may lead to other settings without having looked at the test images.

Expected time: about 4 hours on 2 cores, less the runs of study `comparison`, which serve here too. Expected validation
accuracy: 92 to 93 %.
"""

from fmnist.study import DEFAULT_MARGINS, Study, configure

STUDY = Study(
    name="batch_size",
    question="Does a smaller batch explain why own_v3 and efficientnet_small miss the original report's accuracy?",
    configurations=tuple(
        configure(architecture, label=f"{architecture} batch {batch_size}", batch_size=batch_size)
        for architecture in ("own_v3", "efficientnet_small")
        for batch_size in (128, 32)
    ),
    repeats=5,
    primary_metric="validation_accuracy",
    margins={**DEFAULT_MARGINS, "validation_accuracy": DEFAULT_MARGINS["test_accuracy"]},
)
