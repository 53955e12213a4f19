// Package winrm speaks to a guest's WinRM service (MS-WSMV, the Windows Remote
// Shell over WS-Management).
//
// A Client has the connections and the login, a Shell is a place for commands in
// the guest, and a Session keeps one Shell and opens another when it is lost:
//
//	client, err := winrm.New(winrm.Config{Host: host, User: user, Password: winrm.NewSecret(password), Auth: winrm.AuthNTLM})
//	session := winrm.NewSession(client, winrm.ShellOptions{})
//	code, err := session.Run(ctx, winrm.Command{Line: "ver", Stdout: &out})
//
// Every request has deadlines and honours its context, nothing is asked more than
// twice a second while there is nothing to be had, and every failure has a name
// (errors.Is) and says whether the command may have run (CommandError).
//
// A command that has ended is not signalled. MS-WSMV asks for a Signal "terminate"
// before the next command (2.2.4.38), to release what is held of the ended one.
// Windows does not need it: since 2008 R2 a shell takes commands while others run
// (note 116, zenoss/txwinrm#130), recorded sessions of PowerShell go on without it,
// and the quota of operations is given back by Delete only (note 118,
// ansible/ansible#83656). It would be a request more for every command. What is
// left is memory, until the shell is deleted: where a Command is refused for
// resources, or for a reason of the service that has no name here, the ended ones
// are signalled and it is asked for once more. A Session whose commands use up the
// quota of operations deletes its shell and opens another, when nothing runs in it
// and not before, as Windows may give none while it generalizes.
//
// PowerShell remoting (MS-PSRP) is not spoken. Against recorded sessions the same
// scripts send a third to a half of the bytes in a cmd shell, and their
// first output comes after three requests in place of five
// (TestPowerShellRemotingIsDearer); it needs no PowerShell to run what cmd.exe can,
// which a machine that is locked down asks for. What remoting saves is the start
// of PowerShell for every script after the first.
//
// Beside it is Probe, which asks any endpoint whether it lives.
package winrm
