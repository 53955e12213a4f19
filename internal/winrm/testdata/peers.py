# Asks the service the questions of peers_test.go with pywinrm, and prints the
# answers as JSON.
import base64
import json
import os
import re

import winrm
import xmltodict
from winrm.exceptions import (InvalidCredentialsError, WinRMError, WinRMOperationTimeoutError, WinRMTransportError)


def connect(password):
    return winrm.Protocol(os.environ["ENDPOINT"], transport="basic", username=os.environ["WINRM_USER"],
                          password=password, read_timeout_sec=30, operation_timeout_sec=20)


def failure(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InvalidCredentialsError:
        return "HTTP 401"
    except WinRMOperationTimeoutError:
        return "fault 2150858793"
    except WinRMTransportError as e:
        return "HTTP %s" % e.code
    except WinRMError as e:
        return "fault " + re.search(r"'wsmanfault_code': '(\d+)'", str(e)).group(1)
    return "ok"


def send(p, shell, command, data):  # as Ansible does, pywinrm has no call for it
    request = {"env:Envelope": p._get_soap_header(
        resource_uri="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd",
        action="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send", shell_id=shell)}
    request["env:Envelope"]["env:Body"] = {"rsp:Send": {"rsp:Stream": {
        "@Name": "stdin", "@CommandId": command, "@End": "true", "#text": base64.b64encode(data).decode()}}}
    p.send_message(xmltodict.unparse(request))


def say(line, data=None):
    command = p.run_command(shell, line, console_mode_stdin=data is None)
    if data is not None:
        send(p, shell, command, data)
    out, err, code = p.get_command_output(shell, command)
    p.cleanup_command(shell, command)
    if len(out) > 1000:
        out = ("%d bytes" % len(out)).encode()
    return "%s|%s|%d" % (out.decode(), err.decode(), code)


answers = {}
p = connect(os.environ["WINRM_PASSWORD"])
identity = p.send_message('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
                          "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>")
if isinstance(identity, bytes):
    identity = identity.decode()
answers["identify"] = " ".join(re.search("<[^>]*Product%s>([^<]*)<" % what, identity).group(1) for what in ("Vendor", "Version"))
shell = p.open_shell(codepage=65001)
answers["create"] = "ok"
for line in json.loads(os.environ["LINES"]):
    answers[line] = say(line)
answers["cat"] = say("cat", os.environ["INPUT"].encode())
command = p.run_command(shell, "wait")
answers["time-out"] = failure(p._raw_get_command_output, shell, command)
p.cleanup_command(shell, command)
second = p.open_shell()
answers["quota"] = failure(p.open_shell)
p.close_shell(second)
answers["dead shell"] = failure(p.run_command, second, "echo", ["x"])
answers["oversize"] = failure(p.open_shell, env_vars={"x": "x" * 600000})
p.close_shell(shell)
answers["wrong password"] = failure(connect("wrong").open_shell)
print(json.dumps(answers))
