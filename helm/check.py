#!/usr/bin/env python3
"""Renders the chart and checks what comes out, where `helm` itself is not to be had.

    python3 helm/check.py            check
    python3 helm/check.py --print    show the rendered manifests

It understands the small part of Go's templates that this chart uses (fields, pipes, if, range over a map, include, nindent, toYaml,
quote, default, sha256sum) and stops with an error at anything else, so a chart that outgrows it fails here and is not passed unseen.
It is no substitute for `helm lint`: run that too where you have it. Needs PyYAML.
"""

import hashlib
import re
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parent / "loa"
TAG = re.compile(r"(\s*)\{\{(-?)\s*(.*?)\s*(-?)\}\}(\s*)", re.S)


def tokens(text):
    """('text', s) and ('tag', s), with white space trimmed where {{- or -}} says so."""
    at, out = 0, []
    for match in TAG.finditer(text):
        before, trim_left, inner, trim_right, after = match.groups()
        out.append(("text", text[at:match.start()] + ("" if trim_left else before)))
        out.append(("tag", inner))
        at = match.end() if trim_right else match.end() - len(after)
    return out + [("text", text[at:])]


class Chart:
    """The chart with its values, able to render any of its templates."""

    def __init__(self, values):
        meta = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.root = {
            "Values": values,
            "Chart": {"AppVersion": meta["appVersion"], "Name": meta["name"]},
            "Release": {"Name": "demo", "Service": "Helm"},
        }
        self.named = {}
        self.render((CHART / "templates" / "_helpers.tpl").read_text())

    def render(self, text):
        return self.block(tokens(text), {})

    def block(self, stream, scope):
        out = []
        while stream:
            (what, text), stream = stream[0], stream[1:]
            if what == "text":
                out.append(text)
            elif text == "end":
                raise AssertionError("an end too many")
            elif found := re.fullmatch(r'define "(.+)"', text):
                self.named[found[1]], stream = self.capture(stream)
            elif found := re.fullmatch(r"if (.+)", text):
                inner, stream = self.capture(stream)
                if self.value(found[1], scope):
                    out.append(self.block(inner, scope))
            elif found := re.fullmatch(r"range (\$\w+), (\$\w+) := (.+)", text):
                inner, stream = self.capture(stream)
                for name, value in sorted(self.value(found[3], scope).items()):
                    out.append(self.block(inner, {**scope, found[1]: name, found[2]: value}))
            else:
                shown = self.value(text, scope)
                out.append("" if shown is None else str(shown))
        return "".join(out)

    @staticmethod
    def capture(stream):
        """What stands before the matching end, and what comes after it."""
        depth = 0
        for at, (what, text) in enumerate(stream):
            if what == "tag":
                if text == "end" and depth == 0:
                    return stream[:at], stream[at + 1:]
                depth += text.split()[0] in {"if", "range", "define"}
                depth -= text == "end"
        raise AssertionError("a block is not ended")

    def value(self, expression, scope):
        first, *pipes = [part.strip() for part in expression.split("|")]
        value = self.operand(first, scope)
        for pipe in pipes:
            name, *arguments = pipe.split()
            if name == "nindent":
                pad = " " * int(arguments[0])
                value = "\n" + "\n".join(pad + line if line else line for line in str(value).split("\n"))
            elif name == "quote":
                value = '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
            elif name == "default":
                value = value or self.operand(arguments[0], scope)
            elif name == "sha256sum":
                value = hashlib.sha256(str(value).encode()).hexdigest()
            else:
                raise AssertionError(f"this check does not know the function {name}")
        return value

    def operand(self, text, scope):
        if found := re.fullmatch(r'include "(.+)" \.', text):
            return self.block(self.named[found[1]], scope).strip("\n")
        if found := re.fullmatch(r"toYaml (\S+)", text):
            return yaml.safe_dump(self.operand(found[1], scope), sort_keys=True).rstrip("\n")
        if text in scope:
            return scope[text]
        if re.fullmatch(r"(\.\w+)+", text):
            value = self.root
            for key in text[1:].split("."):
                assert key in value, f"{text} is not in values.yaml"
                value = value[key]
            return value
        raise AssertionError(f"this check does not understand {{{{ {text} }}}}")


def manifests(values):
    chart = Chart(values)
    rendered = {path.name: chart.render(path.read_text()) for path in sorted((CHART / "templates").iterdir()) if path.suffix != ".tpl"}
    documents = [doc for name, text in rendered.items() if name.endswith(".yaml") for doc in yaml.safe_load_all(text)]
    return rendered, documents


def check(documents, values):
    of = {(doc["kind"], doc["metadata"]["name"]): doc for doc in documents}
    assert len(of) == len(documents), "two manifests of one kind and name"
    for process in ("serve", "dispatch"):
        deployment = of["Deployment", f"demo-{process}"]["spec"]
        pod = deployment["template"]["spec"]
        container = pod["containers"][0]
        labels = deployment["template"]["metadata"]["labels"]
        assert deployment["selector"]["matchLabels"].items() <= labels.items(), f"{process}: the selector does not select its pods"
        assert deployment["replicas"] >= 2, f"{process}: 24/7 needs two"
        assert container["args"][0] == process
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
        secret = pod["volumes"][1]["secret"]["secretName"]
        assert secret == values["secrets"][process]
        names = [variable["name"] for variable in container["env"]]
        assert {"DATABASE_URL", "AMQP_URL"} <= set(names) and len(names) == len(set(names))
        assert ("LOA__SEAL__SIGNING_KEY_FILE" in names) == (process == "serve"), "only serve may hold the sealing key"
        budget = of["PodDisruptionBudget", f"demo-{process}"]["spec"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert values["secrets"]["serve"] != values["secrets"]["dispatch"], "a dispatcher must not see the sealing key"
    service = of["Service", "demo"]["spec"]
    assert service["selector"].items() <= of["Deployment", "demo-serve"]["spec"]["template"]["metadata"]["labels"].items()
    assert of["ConfigMap", "demo-config"]["data"]["loa.toml"].startswith('mode = "production"')
    job = of["Job", "demo-migrate"]
    hooks = [job, of["ConfigMap", "demo-migrate"]]
    assert all("pre-install,pre-upgrade" == hook["metadata"]["annotations"]["helm.sh/hook"] for hook in hooks)
    assert job["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == hooks[1]["metadata"]["name"]
    assert not {doc["kind"] for doc in documents} & {"StatefulSet", "PersistentVolumeClaim"}, "no bundled databases"


def main():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rendered, documents = manifests(values)
    if "--print" in sys.argv:
        print("\n---\n".join(rendered.values()))
        return
    check(documents, values)
    values["ingress"].update(enabled=True, className="nginx", tlsSecret="loa-tls", annotations={"a": "b"})
    values["image"]["pullSecrets"] = [{"name": "registry"}]
    _, more = manifests(values)
    check(more, values)
    ingress = next(doc for doc in more if doc["kind"] == "Ingress")
    assert ingress["spec"]["tls"][0]["secretName"] == "loa-tls"
    print(f"{len(documents)} manifests, {len(more)} with ingress: all in order")


if __name__ == "__main__":
    main()
