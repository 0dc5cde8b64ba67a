"""What turns images of one shape into those that a model takes."""

import keras


def adapt_input(model, image_shape):
    """Put the layers before a model that turn images of a shape into what it takes.

    Parameters
    ----------
    model : keras.Model
        A model of one input.
    image_shape : tuple of int
        Shape of one image, or of a table's row.

    Returns
    -------
    model : keras.Model
        The model after a change of the number of channels, between gray and RGB, and of size,
        where these are needed.
    """
    wanted = tuple(model.input_shape[1:])
    if len(wanted) != len(image_shape):
        raise ValueError(
            f"model {model.name!r} takes inputs of shape {wanted}, but the images have shape "
            f"{tuple(image_shape)}"
        )
    if len(wanted) != 3:
        return model
    inputs = x = keras.Input(image_shape)
    if wanted[2] == 3 and image_shape[2] == 1:
        x = keras.layers.Concatenate()([x, x, x])
    elif wanted[2] == 1 and image_shape[2] == 3:
        x = keras.ops.image.rgb_to_grayscale(x)
    size = tuple(
        have if want is None else want for want, have in zip(wanted[:2], x.shape[1:3], strict=True)
    )
    if size != tuple(image_shape[:2]):
        x = keras.layers.Resizing(*size)(x)
    return keras.Model(inputs, model(x))
