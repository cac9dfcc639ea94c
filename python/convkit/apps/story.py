"""The words of the tour's page. HTML, nothing from outside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """A section of the page: text, the op's formula, the call, and how its pictures stand."""

    key: str  # the pictures of this section
    title: str
    paragraphs: tuple[str, ...]
    formula: str
    code: str
    gallery: str = ""


LEAD = (
    "Every picture below was computed by convkit a moment ago. Every op, its gradients and every "
    "algorithm for it ran on this photograph; each result was compared with a plain NumPy "
    "definition, and timed beside the libraries found on this machine."
)

CHAPTERS = (
    Chapter(
        "edges",
        "Edges",
        (
            "Lay a 3x3 grid of weights over the picture, multiply each weight with the pixel under "
            "it, add up, write the sum down, move one pixel on. With positive weights on the left "
            "and negative ones on the right the sum is zero on even ground and large where bright "
            "meets dark: an upright edge. Turn the grid and it finds level edges. Sobel and Scharr "
            "give the middle row more say, which makes them steadier against noise.",
            "Black is no answer, white a strong one, whatever its sign.",
        ),
        "y[p, q] = Σ<sub>r, s</sub> w[r, s] · x[p + r, q + s]",
        'y = convkit.conv2d(x, w, padding="same")',
    ),
    Chapter(
        "features",
        "Feature maps",
        (
            "A layer of a network asks many such questions at once. Each filter has weights for "
            "red, green and blue, sums over all three, and gives one map. These sixteen filters "
            "were made by hand; a trained network finds its own, and its first layer often looks "
            "much like them: blurs, edges, coloured spots, and Gabor waves for stripes of one "
            "direction.",
            "Filters that keep the brightness are shown as they are. For the others middle gray "
            "is zero, lighter is positive, darker is negative.",
        ),
        "y[k, p, q] = Σ<sub>c, r, s</sub> w[k, c, r, s] · x[c, p + r, q + s]",
        'y = convkit.conv2d(x, bank, padding="same")    # (1, 3, H, W) to (1, 16, H, W)',
        "small",
    ),
    Chapter(
        "mix",
        "Mixing channels",
        (
            "A 1x1 filter looks at one pixel only and mixes its channels. On a colour photograph "
            "three such filters are a colour transform; inside a network they widen or narrow the "
            "stack of feature maps. It is a matrix product and runs as one, without a copy.",
        ),
        "y[k, p, q] = Σ<sub>c</sub> w[k, c] · x[c, p, q]",
        "y = convkit.conv2d(x, sepia)    # weights (3, 3, 1, 1)",
        "large",
    ),
    Chapter(
        "pooling",
        "Pooling",
        (
            "Cut the picture into windows and keep one number of each: the largest, or the mean. "
            "Max pooling keeps what stands out, the stars and the bright rims; average pooling "
            "keeps the mood. Max pooling also remembers where each maximum came from, because "
            "that is where its gradient goes back to.",
        ),
        "y[c, p, q] = max or mean over r, s of x[c, p · stride + r, q · stride + s]",
        "y = convkit.max_pool2d(x, 8)\ny = convkit.avg_pool2d(x, 8)",
        "large",
    ),
    Chapter(
        "gram",
        "The Gram matrix",
        (
            "How often do two feature maps light up at the same places? Multiply them pixel by "
            "pixel and add up: one number for each pair of maps. The result forgets where things "
            "are and keeps which patterns go together. Style transfer calls that style.",
            "Row and column i belong to filter i of the feature maps above, from top left to "
            "bottom right. The matrix is symmetric, so half of it is enough to compute.",
        ),
        "G[i, j] = Σ<sub>pixels m</sub> F[i, m] · F[j, m]",
        "G = convkit.gram_matrix(features, normalize=True)",
    ),
    Chapter(
        "im2col",
        "Windows as columns",
        (
            "The oldest trick for fast convolution: write every window as a column of a matrix. "
            "The whole convolution is then one matrix product, at the price of a copy nine times "
            "as large as the picture. The way back, col2im, adds every entry to the pixel it came "
            "from. The nine rows of the matrix are the crop, shifted by one pixel each.",
        ),
        "cols[(c, r, s), (p, q)] = x[c, p + r, q + s]",
        "cols = convkit.im2col(x, 3)\nback = convkit.col2im(cols, x.shape, 3)",
        "pixels",
    ),
    Chapter(
        "gradients",
        "Gradients: going backwards",
        (
            "Learning needs to know how a result changes with each pixel and each weight. "
            "<code>conv2d_input_grad</code> answers for the pixels. Here it takes a blur back: "
            "look for the picture that, once blurred, gives the blurred one, by walking along "
            "the gradient of the squared difference. A wrong gradient would lead nowhere.",
        ),
        "grad_x[c, h, w] = Σ of w[k, c, r, s] · grad_y[k, p, q] over the windows that read that "
        "pixel",
        'grad_x = convkit.conv2d_input_grad(grad_y, w, x.shape, padding="same")\n'
        'grad_w = convkit.conv2d_weight_grad(grad_y, x, w.shape, padding="same")',
        "large",
    ),
)

LEARNED = (
    "<code>conv2d_weight_grad</code> answers for the weights. Given only the photograph and its "
    "Sobel picture, the same walk finds the kernel that made one from the other, starting from "
    "zeros:"
)

SIMT = (
    "The CUDA sources are compiled a second time, for the processor of this machine, and run "
    "there thread by thread with real barriers and shared memory. Slow, but every index and "
    "every barrier is put to the test without a GPU. Each kernel runs in several orders of its "
    "threads; the results must agree with the reference, and with one another in every bit."
)

NUMBERS = (
    "Error E is the distance from the NumPy reference, computed in twice the precision, in units "
    "of what rounding alone allows: eps · (√K · root of the sum of squared products + |exact|), K "
    "being the length of the sum. Every algorithm states its bound and must stay below it; ops "
    "that only move numbers must be exact."
)

AGAIN = (
    "One command makes this page. Your own photographs work as well; the command prints the same "
    "table on the terminal."
)

COMMANDS = """pip install 'convkit[plot]'
convkit tour
convkit tour my-photo.jpg --out my-tour
convkit edges my-photo.jpg --kernel scharr --magnitude
convkit info"""


def speed(threads: int, backend: str) -> str:
    """How the times were taken, in a paragraph."""
    where = "on the GPU" if backend == "cuda" else f"with {threads} threads"
    return (
        f"The fastest algorithm of each op, {where}, beside the fastest of the other libraries "
        "installed here that do the same work. All take turns, warm, on float32 arrays that are "
        "already in memory; the median counts. NumPy means strided views, a copy to columns and "
        "one matrix product by its BLAS, with one thread or all of them, whichever is faster; "
        "SciPy runs on one core. Bars grow with the logarithm; amber means slower."
    )
