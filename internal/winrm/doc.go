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
// Beside it is Probe, which asks any endpoint whether it lives.
package winrm
