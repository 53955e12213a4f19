package vhd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
)

// maxCA bounds winrm_ca_file.
const maxCA = 1 << 20

// prepareTrust checks whose certificates are believed.
func (c *Config) prepareTrust() (errs []error) {
	if c.Comm.Type != "winrm" || c.WinRMCAFile == "" && c.WinRMPin == "" {
		return nil
	}
	if !c.Comm.WinRMUseSSL {
		errs = append(errs, errors.New("winrm_ca_file and winrm_pin have an effect only with TLS; set winrm_use_ssl = true, or remove them"))
	}
	if c.Comm.WinRMInsecure {
		errs = append(errs, errors.New("winrm_insecure accepts any certificate; remove it, or winrm_ca_file and winrm_pin"))
	}
	if pin, err := hex.DecodeString(strings.ReplaceAll(c.WinRMPin, ":", "")); c.WinRMPin != "" && !unknown.In(c.WinRMPin) && (err != nil || len(pin) != 32) {
		errs = append(errs, errors.New("winrm_pin: it is not a SHA-256 fingerprint; write 64 hexadecimal digits"))
	}
	return append(errs, wantFile("winrm_ca_file", c.WinRMCAFile)...)
}

// winrmWays are the ways to connect to a guest, in their order. Without
// winrm_use_ntlm it is NTLM where the guest takes it, which seals all messages
// over HTTP, and otherwise Basic as Packer's own communicator does it.
func (c *Config) winrmWays(at hypervisor.Endpoint) ([]winrm.Config, error) {
	o := &c.Comm
	ntlm := winrm.Config{Host: at.Host, Port: at.Port, User: o.WinRMUser, Password: winrm.NewSecret(o.WinRMPassword), Auth: winrm.AuthNTLM, Guard: c.guard, Limits: communicator.Limits()}
	if o.WinRMUseSSL {
		ntlm.TLS = &winrm.TLS{Insecure: o.WinRMInsecure, Pin: c.WinRMPin}
		if c.WinRMCAFile != "" {
			var err error
			if ntlm.TLS.CA, err = hostfile.ReadRegular(c.WinRMCAFile, maxCA); err != nil {
				return nil, fmt.Errorf("reading winrm_ca_file: %w", err)
			}
		}
	}
	basic := ntlm
	basic.Auth, basic.AllowUnencrypted = winrm.AuthBasic, true
	switch {
	case o.WinRMUseNTLM.True():
		return []winrm.Config{ntlm}, nil
	case o.WinRMUseNTLM.False():
		return []winrm.Config{basic}, nil
	case strings.Contains(o.WinRMUser, ":"): // which Basic cannot carry
		return []winrm.Config{ntlm}, nil
	}
	return []winrm.Config{ntlm, basic}, nil
}

// authentication names the ways, for the user to compare.
func authentication(run *run) string {
	o := &run.config.Comm
	way := "Basic or NTLM (Negotiate) authentication (winrm_use_ntlm is not set)"
	switch {
	case o.WinRMUseNTLM.True():
		way = "NTLM (Negotiate) authentication"
	case o.WinRMUseNTLM.False():
		way = "Basic authentication (winrm_use_ntlm is false)"
	}
	if o.WinRMUseSSL {
		return way + " over HTTPS"
	}
	return way + " over HTTP"
}

// distrusted says what to set for a certificate that is not believed, "" where
// that is not the matter.
func distrusted(err error) string {
	for _, k := range []error{winrm.ErrUnknownAuthority, winrm.ErrWrongName, winrm.ErrCertificateExpired, winrm.ErrWrongPin} {
		if errors.Is(err, k) {
			return "; set winrm_ca_file or winrm_pin, or winrm_insecure to accept any certificate"
		}
	}
	return ""
}
