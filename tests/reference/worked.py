"""Numbers worked by hand, which the reference and every kernel must reproduce to the last bit."""

import numpy as np


def rows(text: str) -> np.ndarray:
    """A (1, 1, H, W) float64 image from "1 2; 3 4"."""
    return np.array([[[[float(v) for v in row.split()] for row in text.split(";")]]])


X = rows("1 2 3; 4 5 6; 7 8 9")
W = rows("1 2; 3 4")
DY = rows("1 2; 3 4")

# Cross-correlation of X with W: options, result.
CONV = [
    ({}, "37 47; 67 77"),
    ({"padding": "valid"}, "37 47; 67 77"),
    ({"padding": 1}, "4 11 18 9; 18 37 47 21; 36 67 77 33; 14 23 26 9"),
    ({"padding": "full"}, "4 11 18 9; 18 37 47 21; 36 67 77 33; 14 23 26 9"),
    ({"stride": 2, "padding": 1}, "4 18; 36 77"),
    ({"dilation": 2}, "64"),
    ({"padding": "same"}, "37 47 21; 67 77 33; 23 26 9"),
    ({"padding": ((0, 1), (0, 1))}, "37 47 21; 67 77 33; 23 26 9"),
    ({"flip_kernel": True}, "23 33; 53 63"),
]
CONV_INPUT_GRAD = "1 4 4; 6 20 16; 9 24 16"
CONV_WEIGHT_GRAD = "37 47; 67 77"
CONV_BIAS_GRAD = 10.0

# Transposed convolution is the input gradient: grad_y, w, x_shape, options, result.
TRANSPOSED = [
    ("1 2; 3 4", "1 2; 3 4", 4, {"stride": 2}, "1 2 2 4; 3 4 6 8; 3 6 4 8; 9 12 12 16"),
    (
        "1 2; 3 4",
        "1 1 1; 1 1 1; 1 1 1",
        3,
        {"stride": 2, "padding": 1},
        "1 3 2; 4 10 6; 3 7 4",
    ),
    (
        "1 2; 3 4",
        "1 1 1; 1 1 1; 1 1 1",
        4,
        {"stride": 2, "padding": 1},
        "1 3 2 2; 4 10 6 6; 3 7 4 4; 3 7 4 4",
    ),
]

IM2COL = np.array([[[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]], float)

# The course's 6x6 image and the edge filters: filter, 4x4 result.
LECTURE = rows("3 0 1 2 7 4; 1 5 8 9 3 1; 2 7 2 5 1 3; 0 1 3 1 7 8; 4 2 1 6 2 8; 2 4 5 2 3 9")
VERTICAL = "1 0 -1; 1 0 -1; 1 0 -1"
HORIZONTAL = "1 1 1; 0 0 0; -1 -1 -1"
EDGES = [
    (VERTICAL, "-5 -4 0 8; -10 -2 2 3; 0 -2 -4 -7; -3 -2 -3 -16"),
    (HORIZONTAL, "-7 -11 2 4; 10 17 9 -3; 4 5 -1 -7; -7 -6 1 2"),
    ("1 0 -1; 2 0 -2; 1 0 -1", "-12 -8 5 16; -10 0 3 5; -3 -2 -8 -14; 0 -6 -4 -18"),
    (
        "3 0 -3; 10 0 -10; 3 0 -3",
        "-64 -40 35 80; -30 8 13 23; -21 -6 -40 -70; 12 -34 -16 -62",
    ),
]
# Synthetic images: image, filter, result.
STEP_IMAGE = ";".join(["10 10 10 0 0 0"] * 6)
BLOCKS_IMAGE = ";".join(["10 10 10 0 0 0"] * 3 + ["0 0 0 10 10 10"] * 3)
STEPS = [
    (STEP_IMAGE, VERTICAL, ";".join(["0 30 30 0"] * 4)),
    (";".join(["0 0 0 10 10 10"] * 6), VERTICAL, ";".join(["0 -30 -30 0"] * 4)),
    (BLOCKS_IMAGE, HORIZONTAL, "0 0 0 0; 30 10 -10 -30; 30 10 -10 -30; 0 0 0 0"),
]
COURSE = rows(
    "2 3 7 4 6 2 9; 6 6 9 8 7 4 3; 3 4 8 3 8 9 7; 7 8 3 6 6 3 4; 4 2 1 8 3 4 6; 3 2 4 1 9 8 3; "
    "0 1 3 9 2 1 4"
)
COURSE_KERNEL = rows("3 4 4; 1 0 2; -1 0 3")
COURSE_STRIDE_2 = rows("91 100 88; 69 91 117; 44 72 74")

POOLED = rows("1 3 2 1; 2 9 1 1; 1 3 2 3; 5 6 1 2")
POOLED_MAX = rows("9 2; 6 3")
POOLED_INDICES = np.array([[[[5, 2], [13, 11]]]])
POOLED_AVG = rows("3.75 1.25; 3.75 2")
OVERLAP = rows("1 3 2 1 3; 2 9 1 1 5; 1 3 2 3 2; 8 3 5 1 0; 5 6 1 2 9")
OVERLAP_MAX = rows("9 9 5; 9 9 5; 8 6 9")
# avg of X, window 3, stride 2, padding 1: count_include_pad, result as float64.
AVG_PADDED = [
    (True, np.array([[[[12 / 9, 16 / 9], [24 / 9, 28 / 9]]]])),
    (False, rows("3 4; 6 7")),
]

# Two feature maps each of the generated and the style image, and their Gram matrices.
GENERATED = np.array([[[[1, 2], [3, 4]], [[0, 1], [1, 0]]]], float)
STYLE = np.array([[[[1, 0], [0, 1]], [[2, 0], [0, 2]]]], float)
GENERATED_GRAM = np.array([[[30, 5], [5, 2]]], float)
STYLE_GRAM = np.array([[[2, 4], [4, 8]]], float)
STYLE_COST = 3.2109375
STYLE_GRADIENT = np.array(
    [
        [
            [[0.4375, 0.890625], [1.328125, 1.75]],
            [[0.015625, -0.0625], [-0.046875, 0.0625]],
        ]
    ]
)
# Channels 1 to 6: size, alpha, beta, k, result. First the AlexNet paper's constants.
CHANNELS = np.arange(1.0, 7.0).reshape(1, 6, 1, 1)
LRN = [
    (
        (5, 5e-4, 0.75, 2.0),
        "0.5942915817132711 1.1878710105259485 1.7801403935901126 "
        "2.370418559043777 2.963465738301859 3.557354419541988",
    ),
    (
        (5, 1e-4, 0.75, 1.0),
        "0.9997900514367979 1.9991004722402714 2.9975273797879356 "
        "3.994608490990391 4.993559691969542 5.993079325011614",
    ),
    (
        (3, 3.0, 0.5, 1.0),
        "0.4082482904638631 0.5163977794943222 0.5477225575051661 "
        "0.5601120336112039 0.5661385170722978 0.762000762001143",
    ),
]
# Gradient of the last one for a gradient of 1 at channel 0 and 0 elsewhere.
LRN_GRAD = "0.34020690871988585 -0.13608276348795434 0 0 0 0"

# The loss of logits 1, 2, 3 for class 2, and their softmax.
LOGITS = np.array([[1.0, 2.0, 3.0]])
LOSS = 0.40760596444438046
SOFTMAX = np.array([[0.09003057317038046, 0.24472847105479764, 0.6652409557748218]])

GRAM_GRAD = np.array([[[1, 2], [3, 4]]], float)
GRAM_INPUT_GRAD = np.array([[[[2, 9], [11, 8]], [[5, 18], [23, 20]]]], float)
