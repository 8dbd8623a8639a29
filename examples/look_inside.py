"""Every stage of one small function, from the formula to the instructions of the processor, printed and explained.

    python examples/look_inside.py

The function is the loss of a logistic regression with one weight w and one offset b, and its gradient. Labels y are -1 or +1.
"""

from __future__ import annotations

import numpy as np

import graphc as gx


def show(title: str, remark: str, text: str, limit: int = 40) -> None:
    """A heading, what to look for, and the first lines of a stage."""
    lines = text.splitlines()
    more = [f"... {len(lines) - limit} more lines"] if len(lines) > limit else []
    print(f"\n== {title} {'=' * (100 - len(title))}\n{remark.strip()}\n")
    print("\n".join("    " + line for line in lines[:limit] + more))


def inner_loop(assembly: str, longest: int = 24) -> str:
    """The first lines of the first loop of the assembly: from a label to the jump back to it."""
    lines = [line.split("#")[0].rstrip() for line in assembly.splitlines()]
    lines = [line for line in lines if line]
    labels = {line[:-1]: k for k, line in enumerate(lines) if line.startswith(".LBB")}
    for k, line in enumerate(lines):
        words = line.split()
        if words[0].startswith("j") and words[-1] in labels and labels[words[-1]] < k:
            loop = lines[labels[words[-1]] : k + 1]
            cut = [f"\t... {len(loop) - longest} more instructions"] if len(loop) > longest else []
            return "\n".join(loop[: longest - 1] + cut + loop[-1:])
    return "\n".join(lines[:longest])


def main() -> gx.Function:
    """Build the function, print its stages in order, and return it."""
    x = gx.vector("x", 1000, "float32")  # a name for a size, "n", makes one function that serves every n; its sums go in chunks
    y = gx.vector("y", 1000, "float32")
    w = gx.scalar("w", "float32")
    b = gx.scalar("b", "float32")
    loss = gx.sum(gx.log(1 + gx.exp(-y * (w * x + b))))

    value = gx.function([x, y, w, b], loss, mode="interpret")
    show(
        "1  f.graph, as written",
        """
Writing an expression computes nothing: it builds nodes. One line is one node: an op, its inputs, its type, the line that made it.
Nodes are interned: the same expression written twice is one node. Python's 1 took the dtype of what it was added to, and scalars
are stretched by explicit broadcasts. mode="interpret" stops here: NumPy runs such a graph node by node, which is the oracle
that the tests compare everything else with.
""",
        value.graph,
    )

    plain = gx.function([x, y, w, b], loss)
    show(
        "2  f.explain()",
        """
Passes rewrite the graph by rules, each two expressions with a name, and say which fired at which of your lines. log(1 + exp(z))
overflows in float32 for z > 88, although its value is about z; the rules "log1p" and "softplus" replace it by what does not.
""",
        plain.explain(),
    )

    slopes = gx.grad(loss, [w, b])
    show(
        "3  the gradient, before optimisation",
        """
grad builds the derivative out of the same nodes, so it can be differentiated again. It works backwards from the loss in one sweep,
each op contributing the rule of its row, and it starts from the stabilised form: the derivative of softplus is a sigmoid, where
the naive formula would have given inf / inf. There is some debris, such as products with 1.
""",
        gx.function([x, y, w, b], (loss, slopes), mode="interpret").graph,
    )

    f = gx.function([x, y, w, b], (loss, slopes))
    show(
        "4  f.graph, optimised",
        """
Loss and gradient together. What they share, the product %4 of y and w x + b, is one node; the debris is gone; the minus signs have
moved out of the sums.
""",
        f.graph,
    )
    show(
        "5  f.program",
        """
Fusion: one kernel computes it all in one pass over memory. First the buffers: who owns them, and for intermediates, which there are
none of here, their place in the arena. A stage (t0, t1, ...) is one value: a scalar body over loop axes, perhaps summed, perhaps
stored (-> b4[]). "!" marks what a kernel writes. After "-- commit", where there is state, nothing can fail any more.
""",
        f.program,
    )
    show(
        "6  f.loops",
        """
The kernel as loops. "vector 16 x 2": sixteen lanes at once, two such vectors an iteration, so that additions need not wait for each
other (the numbers are your processor's). Three sums advance side by side.
""",
        f.loops,
    )
    show(
        "7  f.llvm",
        """
The same in LLVM's language, here from where the loop over vectors begins. softplus and sigmoid have become polynomials: graphc
brings its own vector mathematics and calls no library. Neither your data nor its addresses appear, so equal kernels compile once.
""",
        f.llvm[f.llvm.index("\nloop") :].lstrip(),
        limit=30,
    )
    show(
        "8  f.asm",
        "The machine code of the inner loop, which LLVM made of it for the processor this runs on.",
        inner_loop(f.asm),
    )
    show(
        "9  f.cost() and f.memory()",
        """
Counted, not measured: arithmetic, how much of it transcendental, bytes moved, kernels launched; bytes by owner, and the arena of all
intermediates. Symbolic sizes would be arguments here: f.cost(n=1000).
""",
        f"{f.cost()}\n{f.memory()}",
    )

    rng = np.random.default_rng(0)
    points = rng.standard_normal(1000).astype("float32")
    labels = np.where(points + 0.5 * rng.standard_normal(1000) > 0.2, 1, -1).astype("float32")
    result = f(points, labels, w=1.0, b=0.0)
    show(
        "10  f(points, labels, w=1.0, b=0.0)",
        "A call checks its arguments and runs the native code once. The result has the structure that was asked for.",
        str(result),
    )
    return f


if __name__ == "__main__":
    main()
