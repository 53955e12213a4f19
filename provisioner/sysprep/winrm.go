//go:generate go tool packer-sdc struct-markdown

package sysprep

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// WinRM is the block winrm: the provisioner's own connection to the guest.
// Without it the settings of Packer's communicator are used.
type WinRM struct {
	// How the guest is reached. `own` is the provisioner's own connection,
	// which has a limit for every wait, ends what it gives up and keeps one shell open;
	// `communicator` is Packer's communicator; `auto` (default) is `own` where a
	// login works, and otherwise `communicator`: a line of the output says why.
	// A communicator that is not WinRM is used as it is with `auto`, and an error
	// with `own`; over SSH the whole block is ignored, and a line says so.
	Mode string `mapstructure:"mode"`
	// The port of WinRM. Defaults to the one that Packer connected to.
	Port int `mapstructure:"port"`
	// The account to connect as: an administrator. Defaults to the one that Packer
	// connected as.
	Username string `mapstructure:"username"`
	// The password of the account. Defaults to the one that Packer connected with,
	// and is never shown.
	Password string `mapstructure:"password"`
	// Whether the port speaks TLS. By default it is found out.
	UseSSL config.Trilean `mapstructure:"use_ssl"`
	// Accept any certificate, as the communicator's `winrm_insecure` does. The
	// provisioner does not learn how that is set, so a certificate that the host
	// does not trust needs this, `ca_file` or `pin`. Defaults to `false`.
	Insecure bool `mapstructure:"insecure"`
	// Log in with NTLM (`true`) or with Basic (`false`). By default it is NTLM, and
	// Basic where the guest does not offer that and the connection is encrypted.
	// NTLM over HTTP encrypts every message; `false` over HTTP sends the password
	// in the clear.
	UseNTLM config.Trilean `mapstructure:"use_ntlm"`
	// Path on the host of PEM certificates: those that may have signed the guest's.
	CAFile string `mapstructure:"ca_file"`
	// The SHA-256 fingerprint of the guest's certificate, in hexadecimal digits with
	// or without colons: only that one is accepted, whoever signed it.
	Pin string `mapstructure:"pin"`
	// How many logins in a row the guest may refuse before none is tried for 15
	// minutes. Windows locks an account after a number of wrong passwords: 10 by
	// default since Windows 11 22H2, 5 or fewer where the CIS benchmarks are followed. Defaults to
	// `4`.
	LoginAttempts int `mapstructure:"login_attempts"`
}

// Modes of the block.
const (
	winrmAuto         = "auto"
	winrmOwn          = "own"
	winrmCommunicator = "communicator"
)

// decodeWinRM reads the block of a JSON template, whose texts are Packer's
// templates; those of the account are filled in when the guest is known. Its errors
// hold no value: that may be a password, and the SDK quotes what it cannot convert.
func decodeWinRM(raw any, ctx interpolate.Context) (*WinRM, error) {
	block := map[string]any{}
	switch m := raw.(type) {
	case map[string]any:
		block = maps.Clone(m)
	case map[any]any:
		for name, value := range m {
			block[fmt.Sprint(name)] = value
		}
	default:
		return nil, errors.New(`winrm: it is not a block; write "winrm": { "use_ssl": true }`)
	}
	for name, value := range block {
		if !isText(value) {
			return nil, fmt.Errorf("winrm: %s is not text; write a string", name)
		}
	}
	w := &WinRM{}
	for name, text := range map[string]*string{"username": &w.Username, "password": &w.Password} {
		switch value := block[name].(type) {
		case nil:
		case []uint8: // a text that crossed the plugin boundary
			*text = string(value)
		default:
			*text = fmt.Sprint(value)
		}
		delete(block, name)
	}
	ctx.Data = nil // what the builder will say is not known yet
	options, ok := filled(block, &ctx)
	if !ok {
		return nil, errors.New("winrm: a text holds a template that cannot be rendered; use user variables")
	}
	if err := config.Decode(w, &config.DecodeOpts{PluginType: "sysprep"}, options); err != nil {
		return nil, errors.New("winrm: an option is not known, or its value has the wrong type; see the documentation of the block")
	}
	return w, nil
}

// checkWinRM returns everything that is wrong with the block. No file is read.
func (c *Config) checkWinRM() (errs []error) {
	w := c.WinRM
	if w == nil {
		c.WinRM = &WinRM{Mode: winrmAuto}
		return nil
	}
	if w.Mode == "" {
		w.Mode = winrmAuto
	}
	refuse := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf("winrm: "+format, args...))
		}
	}
	modes := []string{winrmAuto, winrmOwn, winrmCommunicator}
	refuse(!slices.Contains(modes, w.Mode) && !unknown.In(w.Mode), "mode: %q is not one of %s", w.Mode, strings.Join(modes, ", "))
	refuse(w.Port < 0 || w.Port > 65535, "port: %d is not a port; write one from 1 to 65535", w.Port)
	tls := w.Insecure || w.CAFile != "" || w.Pin != ""
	refuse(tls && w.UseSSL.False(), "insecure, ca_file and pin are about TLS; remove them, or use_ssl = false")
	refuse(w.Insecure && (w.CAFile != "" || w.Pin != ""), "insecure accepts any certificate; remove it, or ca_file and pin")
	pin, err := hex.DecodeString(strings.ReplaceAll(w.Pin, ":", ""))
	refuse(w.Pin != "" && !unknown.In(w.Pin) && (err != nil || len(pin) != 32), "pin: it is no SHA-256 fingerprint; write 64 hexadecimal digits")
	refuse(w.LoginAttempts < 0, "login_attempts: %d is negative; write how many logins in a row may be refused, for instance %d", w.LoginAttempts, lockout.DefaultMost)
	unused := w.Port != 0 || w.LoginAttempts != 0 || w.Username != "" || w.Password != "" || tls || w.UseSSL != config.TriUnset || w.UseNTLM != config.TriUnset
	refuse(w.Mode == winrmCommunicator && unused, "mode: with %q nothing else in the block is used; remove it, or the mode", winrmCommunicator)
	return errs
}

// renderWinRM fills build values into the account of the block.
func (c *Config) renderWinRM() error {
	for _, field := range []*string{&c.WinRM.Username, &c.WinRM.Password} {
		if !c.isTemplate(*field) {
			continue
		}
		text, err := interpolate.Render(*field, &c.ctx)
		if err != nil {
			return errors.New("winrm: username or password holds a template that cannot be rendered; check the braces") // the cause may hold the password
		}
		*field = text
	}
	return nil
}
