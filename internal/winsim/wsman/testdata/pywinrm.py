# Speaks to the server with pywinrm; prints ok or a traceback.
import os

import winrm
from winrm.exceptions import InvalidCredentialsError, WinRMError, WinRMOperationTimeoutError


def connect(password):
    return winrm.Protocol(
        os.environ["ENDPOINT"], transport=os.environ["TRANSPORT"], username=os.environ["WINRM_USER"],
        password=password, server_cert_validation="ignore", read_timeout_sec=30, operation_timeout_sec=20)


def same(got, want):
    assert got == want, "got %r, want %r" % (got, want)


p = connect(os.environ["WINRM_PASSWORD"])
shell = p.open_shell(working_directory="C:\\", env_vars={"a": "b"}, codepage=65001)

command = p.run_command(shell, "echo", ["hello", "you"])
same(p.get_command_output(shell, command), (b"hello you\r\n", b"", 0))
p.cleanup_command(shell, command)
command = p.run_command(shell, "complain", ["x"], console_mode_stdin=False, skip_cmd_shell=True)
same(p.get_command_output(shell, command), (b"", b"x\r\n", 7))
p.cleanup_command(shell, command)
command = p.run_command(shell, "fill", ["300000"])
same(len(p.get_command_output(shell, command)[0]), 300000)
p.cleanup_command(shell, command)

# A silent command makes Receive time out.
command = p.run_command(shell, "wait")
try:
    p._raw_get_command_output(shell, command)
    raise AssertionError("no time-out")
except WinRMOperationTimeoutError:
    pass
p.cleanup_command(shell, command)

p.close_shell(shell)
try:
    p.run_command(shell, "echo", ["late"])
    raise AssertionError("a dead shell took a command")
except WinRMError as e:
    assert "2150858843" in str(e) and "w:InvalidSelectors" in str(e), str(e)

try:
    connect("wrong").open_shell()
    raise AssertionError("a wrong password was taken")
except InvalidCredentialsError:
    pass
print("ok")
