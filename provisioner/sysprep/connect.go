package sysprep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/packercomm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/winrmguest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

const (
	// connectLimit bounds the logins of "auto", where there is another way.
	connectLimit = 30 * time.Second
	closeLimit   = 5 * time.Second
	maxCA        = 1 << 20 // bytes of ca_file
)

// login is how a connection of our own is made: as Packer's, as far as the builder
// says, unless the block says otherwise.
type login struct {
	connType  string
	loginPort int
	loginUser string
	password  winrm.Secret
	given     bool // there is a password
	guard     *lockout.Guard
}

// readLogin returns what the builder says of Packer's communicator, and hides the
// password from then on.
func (r *run) readLogin(data map[string]any) {
	password, _ := data["Password"].(string)
	if password == "" {
		password, _ = data["WinRMPassword"].(string)
	}
	r.connType, _ = data["ConnType"].(string)
	r.loginPort, r.loginUser, r.password, r.given = r.port, r.user, winrm.NewSecret(password), password != ""
	if !strings.EqualFold(password, r.user) { // no secret, and in many a name
		r.hidden = password
	}
}

// overrideLogin takes what the block says, its templates filled in.
func (r *run) overrideLogin() error {
	if err := r.config.renderWinRM(); err != nil {
		return err
	}
	w := r.config.WinRM
	if w.Port != 0 {
		r.loginPort = w.Port
	}
	if w.Username != "" {
		r.loginUser = w.Username
	}
	if w.Password != "" {
		r.password, r.given = winrm.NewSecret(w.Password), true
	}
	r.guard = lockout.New(r.loginUser, lockout.Policy{Most: w.LoginAttempts, Option: "login_attempts in the block winrm"}, func() time.Time { return r.now() })
	return nil
}

// own is a session of our own.
type own struct {
	client    *winrm.Client
	transport *winrmguest.Transport
}

// close gives the shell back where the guest answers, and the connections.
func (o *own) close(ctx context.Context) {
	if o == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	_ = o.transport.Close(ctx) // Windows ends it in time
	o.client.Close()
}

// connect chooses the way to the guest: a session of our own, or Packer's
// communicator.
func (r *run) connect(ctx context.Context) (over bool, err error) {
	w := r.config.WinRM
	if r.noCommunicator(ctx) {
		return true, failed(verdict.Head{Class: verdict.NotStarted}, errors.New(`sysprep was not started, the machine is untouched: the builder has communicator = "none", so there is no way into the guest`), nil,
			`set communicator = "winrm" or "ssh" in the source`)
	}
	if r.overSSH() {
		if *w != (WinRM{Mode: winrmAuto}) {
			r.ui.Say("The block winrm is ignored: the communicator is ssh, which the provisioner uses as it is.")
		}
		return false, nil
	}
	why := r.notOwn()
	if w.Mode == winrmCommunicator {
		return false, nil
	}
	if why == "" {
		client, err := r.logInPatiently(ctx)
		if err == nil {
			session := winrm.NewSession(client, winrm.ShellOptions{})
			r.own = &own{client, winrmguest.New(session, files.Options{
				Folder: r.folder().In("%SystemRoot%", r.id), // the session removes it
				Stall:  transferStall(r.config.StallTimeout),
				Note: func(why string) {
					r.ui.Sayf("Bringing files into the guest by echo, so that what they hold is in command lines there, in base64: %s", why)
				},
			})}
			r.session = r.newSession(r.own.transport)
			r.user, r.port = r.loginUser, r.loginPort
			return false, nil
		}
		if ctx.Err() != nil {
			return true, errors.New(notStarted)
		}
		why = err.Error()
	}
	if w.Mode == winrmOwn {
		return true, failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: the provisioner's own WinRM connection failed: %s", why), nil,
			`correct the block winrm, or set its mode to "auto"`)
	}
	if r.connType == "winrm" {
		r.ui.Sayf("Using Packer's communicator, not the provisioner's own WinRM connection: %s", why)
	}
	return false, nil
}

// noCommunicator tells whether the builder has communicator = "none". Of that Packer hands on
// nothing, neither its name nor a host, and answers each command with success and no output:
// the guest would be waited for until stall_timeout.
func (r *run) noCommunicator(ctx context.Context) bool {
	return r.connType == "none" || r.connType == "" && r.host == "" && errors.Is(r.session.Hello(ctx), guest.ErrUnreadable)
}

// transferStall is how long the guest may be silent while files are brought: not
// longer than stall_timeout, but as long as any command.
func transferStall(stall time.Duration) time.Duration {
	return min(2*time.Minute, max(guest.CommandLimit, stall))
}

// notOwn says why there cannot be a connection of our own, empty when there can.
func (r *run) notOwn() string {
	switch {
	case r.connType != "winrm":
		return fmt.Sprintf("the communicator is %q, not winrm", r.connType)
	case r.host == "" || r.loginPort == 0:
		return "the builder does not say at what host and port the guest is"
	case r.loginUser == "" || !r.given:
		return "the builder does not say user and password; set winrm { username, password }"
	}
	return ""
}

// logInPatiently logs in, and waits a while for a guest that does not answer.
func (r *run) logInPatiently(ctx context.Context) (*winrm.Client, error) {
	limit := r.config.StallTimeout
	if r.config.WinRM.Mode != winrmOwn {
		limit = min(limit, connectLimit)
	}
	waited, cancel := context.WithTimeout(ctx, r.real(limit))
	defer cancel()
	var last error
	facts := heartbeat.Facts{Doing: "connecting to WinRM", Limit: limit}
	wait := r.heart.Begin(facts)
	defer wait.End()
	for {
		client, err := r.logIn(waited)
		switch {
		case err == nil:
			return client, nil
		case waited.Err() == nil || last == nil:
			last = err // of the end of the time less can be said
			facts.Says = err.Error()
			wait.Set(facts)
		}
		silent := errors.Is(err, winrm.ErrDeadline) || errors.Is(err, winrm.ErrConnection) || errors.Is(err, winrm.ErrUnavailable)
		if !silent || r.pause(waited, r.config.PollInterval) != nil {
			return nil, last
		}
	}
}

// logIn finds out whether the port speaks TLS and how to log in. A port that
// speaks the other way says so, or breaks the connection.
func (r *run) logIn(ctx context.Context) (*winrm.Client, error) {
	settings, err := r.settings()
	if err != nil {
		return nil, err
	}
	var last error
	for i, s := range settings {
		if errors.Is(last, winrm.ErrNotOffered) && (s.TLS == nil) != (settings[i-1].TLS == nil) {
			break // it speaks as it was spoken to
		}
		client, err := winrm.New(s)
		if err != nil {
			return nil, err
		}
		_, err = client.Login(ctx)
		if err == nil {
			return client, nil
		}
		err = r.whatToSet(ctx, client, s, err)
		client.Close()
		if last = mostTelling(last, err); ctx.Err() != nil || decided(err) {
			break
		}
	}
	return nil, last
}

// decided says that a guest's answer leaves nothing to be tried. Another way to
// log in may be on offer.
func decided(err error) bool {
	return errors.Is(err, winrm.ErrUnauthorized) && !errors.Is(err, winrm.ErrNotOffered) || certificate(err) ||
		errors.Is(err, winrm.ErrAccessDenied) || errors.Is(err, winrm.ErrUnavailable) || errors.Is(err, winrm.ErrRefused) || errors.Is(err, winrm.ErrConnectDeadline)
}

func certificate(err error) bool {
	return slices.ContainsFunc([]error{winrm.ErrCertificateExpired, winrm.ErrUnknownAuthority, winrm.ErrWrongName, winrm.ErrWrongPin}, func(k error) bool { return errors.Is(err, k) })
}

// mostTelling is the error by which the guest spoke, before one by which it was
// not understood.
func mostTelling(first, second error) error {
	if first == nil || decided(second) || errors.Is(second, winrm.ErrNotOffered) {
		return second
	}
	return first
}

// whatToSet adds the options that help.
func (r *run) whatToSet(ctx context.Context, client *winrm.Client, s winrm.Config, err error) error {
	w := r.config.WinRM
	switch {
	case certificate(err):
		return fmt.Errorf("%w; set ca_file, pin or insecure in the block winrm", err)
	case errors.Is(err, winrm.ErrNotOffered) && s.TLS == nil && !w.UseNTLM.True() && offers(ctx, client, "Basic"):
		return fmt.Errorf("%w; Basic over HTTP sends the password in the clear, so it is used only with use_ntlm = false in the block winrm", err)
	case errors.Is(err, winrm.ErrUnauthorized) && w.UseNTLM.False() && !offers(ctx, client, "Basic"):
		return fmt.Errorf("%w; remove use_ntlm = false from the block winrm", err)
	case errors.Is(err, winrm.ErrUnauthorized):
		return fmt.Errorf("%w; set username and password in the block winrm", err)
	}
	return err
}

// offers says whether the guest offers a way to log in, true where it does not say.
func offers(ctx context.Context, client *winrm.Client, scheme string) bool {
	offered, err := client.Schemes(ctx)
	return err != nil || slices.ContainsFunc(offered, func(s string) bool { return strings.EqualFold(s, scheme) })
}

// settings are those to be tried, in their order.
func (r *run) settings() (all []winrm.Config, err error) {
	w := r.config.WinRM
	trust := &winrm.TLS{Insecure: w.Insecure, Pin: w.Pin}
	if w.CAFile != "" {
		if trust.CA, err = hostfile.ReadRegular(w.CAFile, maxCA); err != nil {
			return nil, fmt.Errorf("reading ca_file of the block winrm: %w", err)
		}
	}
	ways := []*winrm.TLS{nil, trust}
	switch {
	case w.UseSSL.True() || w.Insecure || w.CAFile != "" || w.Pin != "":
		ways = []*winrm.TLS{trust}
	case w.UseSSL.False():
		ways = []*winrm.TLS{nil}
	case r.loginPort == 5986:
		slices.Reverse(ways)
	}
	for _, tls := range ways {
		c := winrm.Config{Host: r.host, Port: r.loginPort, TLS: tls, User: r.loginUser, Password: r.password, Limits: r.limits, Guard: r.guard, Auth: winrm.AuthNTLM}
		if !w.UseNTLM.False() {
			all = append(all, c)
		}
		if c.Auth = winrm.AuthBasic; w.UseNTLM.False() || tls != nil && !w.UseNTLM.True() && !strings.Contains(r.loginUser, ":") {
			c.AllowUnencrypted = w.UseNTLM.False()
			all = append(all, c)
		}
	}
	return all, nil
}

// overPacker is a session over Packer's communicator.
func (r *run) overPacker() *guest.Session {
	longest := r.config.StallTimeout / 4
	if r.overSSH() {
		return r.newSession(packercomm.NewSSH(r.comm, longest))
	}
	return r.newSession(packercomm.New(r.comm, longest))
}
