"""
=========================
What an explanation costs
=========================

A student is made small so that it runs where its teacher cannot. An explanation runs the network
many times over, so what is gained in one prediction is gained in every explanation too, though
not by the same factor. This example counts operations and takes times, as Table 4 of the KD-FMV
paper does.
"""

# %%
# Operations
# ----------
# The paper's teacher is a DenseNet121, its student a network of eight convolutions;
# `~skkd.TransferNet` and `~skkd.KDFMVNet` build them. Neither needs to be trained here: what a
# pass costs does not depend on the values of the weights, so ``weights=None`` leaves them random.
#
# At the paper's size, 224 x 224 pixels, `~skkd.count_flops` gives the figures of its table,
# 5.669e9 and 2.327e9 operations for one image. The default convention counts what TensorFlow's
# profiler counts; "mac" counts multiply-adds as one operation each, which is what many papers call
# FLOPs, and about half.

import pandas as pd

from skkd import MLP, FiveBlockCNN, KDFMVNet, TransferNet, count_flops

networks = {
    "teacher": TransferNet("densenet121", weights=None),
    "student": KDFMVNet(),
    "five blocks": FiveBlockCNN(),
    "no convolution": MLP(hidden=(64,)),
}
rows = {}
for name, network in networks.items():
    model = network.build((224, 224, 3), n_classes=4)
    rows[name] = {
        "parameters": model.count_params(),
        "flops": count_flops(model),
        "macs": count_flops(model, convention="mac"),
    }
table = pd.DataFrame.from_dict(rows, orient="index")
table["of the teacher"] = (table["flops"] / table.loc["teacher", "flops"]).round(3)
print(table.to_string())

# %%
# Weights are another thing than operations. The student has more weights than its teacher, and a
# perceptron that sees the image as one long row has nearly as many and takes hardly any operations:
# a dense layer uses each weight once for an image, a convolution at every pixel of its map.
# ``per_layer=True`` tells where the operations go; here those of the student, the most expensive
# layers first.

student = KDFMVNet().build((224, 224, 3), n_classes=4)
layers = count_flops(student, per_layer=True).sort_values("flops", ascending=False)
print(layers.head(5).to_string(index=False))

# %%
# Times
# -----
# `~skkd.explain_timing` explains images one by one and returns a row for each explainer: the mean
# execution time (MET) in seconds an image and its deviation over the repeats, beside the
# operations of one forward pass. A first explanation, which compiles, is not timed.
#
# To be done within a minute, the images have 64 x 64 pixels and SHAP takes 16 samples; the paper
# takes 200.

from skkd import FeatureMapExplainer, GradCAMExplainer, SHAPExplainer, explain_timing
from skkd.datasets import make_brain_phantoms

X, _ = make_brain_phantoms(4, image_size=(64, 64), random_state=0)
models = {name: networks[name].build(X.shape[1:], 4) for name in ("teacher", "student")}
explainers = {
    name: [
        FeatureMapExplainer(model),
        GradCAMExplainer(model),
        SHAPExplainer(model, background=4, n_samples=16, random_state=0),
    ]
    for name, model in models.items()
}
timing = explain_timing(explainers, X, n_repeats=2)
print(timing.drop(columns=["images_per_second", "batch_size", "n_images"]).to_string())

# %%
# How many times faster the student is explained, beside how many times fewer operations it takes.
# The two need not agree. Many small convolutions cost more time than their operations say, and a
# DenseNet121 has 120 of them to the student's 8; and other work on the machine moves times of a few
# milliseconds a lot, and operations not at all.

met = timing.pivot(index="explainer", columns="model", values="met")
print((met["teacher"] / met["student"]).round(1).to_string())
flops = timing.groupby("model")["flops"].first()
print(f"operations of one pass: {flops['teacher'] / flops['student']:.1f}")

# %%
# What SHAP costs depends on how much is asked of it: the time grows with the number of samples,
# and the error of the values falls with it. Feature maps and Grad-CAM have no such choice.

samples = {
    f"{n} samples": SHAPExplainer(models["student"], background=4, n_samples=n, random_state=0)
    for n in (4, 16, 64)
}
by_samples = explain_timing(samples, X, n_repeats=1)
print(by_samples[["model", "met"]].round(3).to_string(index=False))

# %%
# What not to conclude
# --------------------
# The paper reports, for one image of 224 x 224 pixels on its processor, 0.95 s against 0.196 s for
# Grad-CAM and 67.7 s against 15.6 s for SHAP. Times are those of one machine, its load included,
# of one image size and of one implementation; operations are the same everywhere. And an
# explanation that is cheap is not thereby right:
# :ref:`sphx_glr_auto_examples_plot_compare_explainers.py` asks that.

# %%
# Teacher and student side by side
# --------------------------------
# The axis of `~skkd.TimingDisplay` is logarithmic, as SHAP takes much longer than the other two for
# either network.

from skkd import TimingDisplay

display = TimingDisplay.from_timing(
    timing, bar_kwargs={"color": ["C0" if name == "teacher" else "C1" for name in timing["model"]]}
)
display.ax_.set_title("Explaining one image of 64 x 64 pixels")
display.figure_.set_size_inches(7.5, 3.8)

# sphinx_gallery_thumbnail_number = -1
