"""The SDK's `scope`, `mark` and `inference`, and the probes' around the same code: what both tell can be compared."""

import cirron as sdk
import cirron_probe as probes


class scope:
    def __init__(self, name, **attributes):
        self._both = sdk.scope(name, **attributes), probes.scope(name, **attributes)

    def __enter__(self):
        for one in self._both:
            one.__enter__()
        return self

    def __exit__(self, *error):
        for one in reversed(self._both):
            one.__exit__(*error)


def mark(name, value, **attributes):
    sdk.mark(name, value, **attributes)
    probes.mark(name, value, **attributes)


def inference(function=None, *, config=None):
    def decorate(function):
        return sdk.inference(config=config)(probes.inference(config=config)(function))

    return decorate if function is None else decorate(function)
