"""efficientnet_small in batches of 128 and of 32: is the batch why it stays below the report's accuracy?

    python jobs/study.py batch_size

The report does not say how large its batches were; 32 is what Keras takes unless told otherwise. Decided on validation
accuracy, so that the answer may lead to other settings without having looked at the test images.

Expected time: 4 h 35 min on 2 cores, 2 h where the rows of study `comparison` are there, whose batches of 32 serve here
too. Expected validation accuracy: 92.1 to 93 % in batches of 128, 92.5 to 93.5 % in batches of 32.
"""

from fmnist.declare import DEFAULT_MARGINS, Study, configure

STUDY = Study(
    name="batch_size",
    question="Does a smaller batch explain why efficientnet_small stays below the original report's accuracy?",
    configurations=tuple(
        configure("efficientnet_small", label=f"batch {batch_size}", batch_size=batch_size) for batch_size in (128, 32)
    ),
    repeats=10,
    primary_metric="validation_accuracy",
    margins={**DEFAULT_MARGINS, "validation_accuracy": DEFAULT_MARGINS["test_accuracy"]},
)
