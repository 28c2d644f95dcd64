"""Layer norm, solved."""


def forward(x, scale, bias, *, eps):
    centred = x - x.mean(axis=1, keepdims=True)
    s = ((centred**2).mean(axis=1, keepdims=True) + eps) ** -0.5
    xhat = s * centred
    return scale * xhat + bias, (xhat, s, scale)


def backward(residuals, dy, *, eps):
    xhat, s, scale = residuals
    dxhat = scale * dy
    mean = dxhat.mean(axis=1, keepdims=True)
    variance = xhat * (dxhat * xhat).mean(axis=1, keepdims=True)
    dx = s * (dxhat - mean - variance)
    return dx, (dy * xhat).sum(axis=0), dy.sum(axis=0)
