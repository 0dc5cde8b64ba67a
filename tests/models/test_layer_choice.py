import keras
import pytest
from keras import layers

from skkd import FeatureMapExplainer, GradCAMExplainer
from skkd.models._graph import flatten_graph
from skkd.models._layer_choice import choose_layers, last_layer
from skkd.models._layout import Layout

# The last tensor of more than one place that every way passes, as the architectures are published:
# the sum of the last residual block, the last concatenation of branches, the activation after it.
FAMILIES = {
    "VGG16": "block5_conv3",
    "ResNet50": "conv5_block3_out",
    "ResNet50V2": "post_relu",
    "MobileNet": "conv_pw_13_relu",
    "MobileNetV2": "Conv_1",
    "DenseNet121": "relu",
    "InceptionV3": "mixed10",
    "InceptionResNetV2": "conv_7b",
    "Xception": "block14_sepconv2",
    "EfficientNetB0": "top_conv",
    "EfficientNetV2B0": "top_conv",
}


def chosen_call(model):
    graph = flatten_graph(model)
    name = last_layer(model, graph, Layout(graph), model.name)
    return next(call for call in graph.calls if call.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_auto_is_the_last_map_that_everything_passes_in_networks_people_have(family):
    side = 139 if family in ("InceptionV3", "InceptionResNetV2", "Xception") else 64
    make = getattr(keras.applications, family)
    chosen = chosen_call(make(weights=None, input_shape=(side, side, 3), classes=4))
    assert chosen.name == FAMILIES[family]
    assert min(chosen.output.shape[1:3]) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "channels"),
    [
        ("MobileNetV3Small", 576),
        ("MobileNetV3Large", 960),
        ("NASNetMobile", 1056),
        ("ConvNeXtTiny", 768),
    ],
)
def test_auto_of_networks_whose_layers_have_no_names_of_their_own_feeds_the_pooling(
    family, channels
):
    model = getattr(keras.applications, family)(weights=None, input_shape=(64, 64, 3), classes=4)
    chosen = chosen_call(model)
    assert chosen.output.shape == (None, 2, 2, channels)


def squeezed(x):
    """Squeeze and excitation: weights of the channels, from 1x1 convolutions."""
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(2, 1, activation="relu", name="squeeze")(weights)
    weights = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name="excite")(weights)
    return layers.Multiply(name="excited")([x, weights])


def with_head(make, side=8):
    inputs = keras.Input((side, side, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    return keras.Model(inputs, make(x))


def pooled(x):
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))


MODELS = {
    "a 1x1 classifier of pooled features": (
        lambda x: layers.Flatten()(
            layers.Conv2D(3, 1, name="preds")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        ),
        "first",
        ["first"],
    ),
    "squeeze and excitation": (lambda x: pooled(squeezed(x)), "excited", ["first"]),
    "branches": (
        lambda x: pooled(
            layers.Concatenate(name="joined")(
                [
                    layers.Conv2D(2, 1, name="one")(x),
                    layers.Conv2D(2, 3, padding="same", name="two")(x),
                ]
            )
        ),
        "joined",
        ["first", "one", "two"],
    ),
    "a residual": (
        lambda x: pooled(layers.Add(name="sum")([x, layers.Conv2D(4, 1, name="residual")(x)])),
        "sum",
        ["first", "residual"],
    ),
    "an activation after the sum": (
        lambda x: pooled(
            layers.ReLU(name="relu")(layers.Add()([x, layers.Conv2D(4, 1, name="residual")(x)]))
        ),
        "relu",
        ["first", "residual"],
    ),
    "pooling and dropout": (
        lambda x: layers.Dense(3)(layers.Flatten()(layers.Dropout(0.2)(layers.MaxPooling2D()(x)))),
        "first",
        ["first"],
    ),
    "a normalized convolution": (
        lambda x: pooled(
            layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, name="last")(x)))
        ),
        "last",
        ["first", "last"],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_auto_and_the_feature_maps_of_small_networks(name, rng):
    make, last, maps = MODELS[name]
    model = with_head(make)
    explainer = GradCAMExplainer(model).fit()
    assert explainer.layer_names_ == [last]
    assert explainer.transform(rng.random((2, 8, 8, 1))).shape == (2, 8, 8)
    assert FeatureMapExplainer(model).fit().layer_names_ == maps


def test_a_network_without_such_a_map_says_what_to_do():
    def two_ways(x):
        ways = [layers.Conv2D(2, 1, name=name)(x) for name in ("left", "right")]
        return layers.Dense(3)(layers.Concatenate()([layers.Flatten()(way) for way in ways]))

    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, two_ways(inputs))
    with pytest.raises(ValueError, match="no layer with a feature map through which every way"):
        GradCAMExplainer(model).fit()
    assert GradCAMExplainer(model, layer=["left", "right"]).fit().layer_names_ == ["left", "right"]


def test_maps_of_1x1_are_kept_where_a_network_has_no_others():
    inputs = keras.Input((1, 1, 8))
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1, name="only")(inputs)))
    graph = flatten_graph(model)
    assert [call.name for call in choose_layers(graph, Layout(graph), "conv", "model")] == ["only"]
