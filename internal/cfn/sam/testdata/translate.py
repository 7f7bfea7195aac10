"""Writes NAME.json beside each NAME.yaml: what AWS's own translator (pip install aws-sam-translator) makes of it.

The Go tests compare with these files; run this by hand after adding a template.
"""
import json
import pathlib
import sys

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def translate(text):
    session = boto3.session.Session(region_name="ap-southeast-1")
    try:
        return Translator({}, Parser(), boto_session=session).translate(yaml_parse(text), {})
    except InvalidDocumentException as e:
        causes = sorted(cause.message for cause in e.causes)
        return {"errorMessage": " ".join([e.message, *causes])}


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(pathlib.Path(__file__).parent.glob("*.yaml")):
        path = pathlib.Path(name)
        path.with_suffix(".json").write_text(json.dumps(translate(path.read_text()), indent=1, sort_keys=True, default=str) + "\n")
