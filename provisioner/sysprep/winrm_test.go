package sysprep

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

func TestTheBlockWinRMIsCheckedWithTheFix(t *testing.T) {
	for name, c := range map[string]struct {
		block any
		want  string // begins the error; empty: there is none
	}{
		"nothing":                    {map[string]any{}, ""},
		"an unknown mode":            {map[string]any{"mode": "ssh"}, `winrm: mode: "ssh" is not one of auto, own, communicator`},
		"no port":                    {map[string]any{"port": 65536}, "winrm: port: 65536 is not a port; write one from 1 to 65535"},
		"TLS and none":               {map[string]any{"use_ssl": false, "insecure": true}, "winrm: insecure, ca_file and pin are about TLS; remove them, or use_ssl = false"},
		"no trust and trust":         {map[string]any{"insecure": true, "ca_file": "x"}, "winrm: insecure accepts any certificate; remove it, or ca_file and pin"},
		"a short fingerprint":        {map[string]any{"pin": "ab:cd"}, "winrm: pin: it is no SHA-256 fingerprint; write 64 hexadecimal digits"},
		"a fingerprint with colons":  {map[string]any{"pin": strings.TrimSuffix(strings.Repeat("a1:", 32), ":")}, ""},
		"settings that are not used": {map[string]any{"mode": "communicator", "port": 5986}, `winrm: mode: with "communicator" nothing else in the block is used; remove it, or the mode`},
		"no block":                   {"s3cret", `reading the options: winrm: it is not a block; write "winrm"`},
		"a list for a text":          {map[string]any{"password": []any{"s3cret"}}, "reading the options: winrm: password is not text; write a string"},
		"a text for a number":        {map[string]any{"port": "s3cret"}, "reading the options: winrm: an option is not known, or its value has the wrong type"},
		"an option it does not have": {map[string]any{"s3cret": true}, "reading the options: winrm: an option is not known, or its value has the wrong type"},
		"what is not known yet":      {map[string]any{"mode": "<unknown>", "password": "<unknown>", "pin": "<unknown>"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(t, map[string]any{"winrm": c.block})
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "1 error(s) occurred:\n\n* ")
			}
			if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") || strings.Contains(got, "s3cret") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestTheBlockWinRMComesFromHCLAndFromJSON(t *testing.T) {
	file, diags := hclparse.NewParser().ParseHCL([]byte(`
		winrm {
			mode = "own"
			port = 5986
			use_ntlm = true
			username = "a"
			password = "{{p"
		}
	`), "t.pkr.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	value, diags := hcldec.Decode(file.Body, new(Provisioner).ConfigSpec(), nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	base := map[string]any{"packer_builder_type": "null", "packer_user_variables": map[string]string{"port": "5986"}}
	for name, raws := range map[string][]any{
		"HCL": {base, value},
		"JSON": {base, map[any]any{"winrm": map[any]any{
			"mode": []uint8("own"), "port": "{{user `port`}}", "use_ntlm": "true", "username": "a", "password": []uint8("{{p")}}},
	} {
		p := &Provisioner{}
		if err := p.Prepare(raws...); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := p.config.WinRM
		if w.Mode != "own" || w.Port != 5986 || !w.UseNTLM.True() || w.UseSSL.True() || w.UseSSL.False() || w.Username != "a" || w.Password != "{{p" {
			t.Errorf("%s: got %+v", name, w)
		}
	}
	none, err := decode(t, nil)
	if err != nil || none.WinRM.Mode != "auto" {
		t.Errorf("without a block: %+v, %v", none.WinRM, err)
	}
}

func TestTheAccountOfTheBlockIsFilledInAndHidden(t *testing.T) {
	c, err := decode(t, map[string]any{"winrm": map[string]any{"username": "{{ build `User` }}", "password": "l0ng-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	ui := &recordUI{}
	r := newRun(c, ui, brokenUpload{}, map[string]any{"Host": "h", "Port": 5985, "User": "vagrant", "Password": "0ther-secret", "ConnType": "winrm"})
	if err := r.overrideLogin(); err != nil {
		t.Fatal(err)
	}
	if r.loginUser != "vagrant" || !r.given || r.user != "vagrant" {
		t.Errorf("logs in as %q", r.loginUser)
	}
	if got := newScrubber(r.config.secrets(r.hidden)).text("l0ng-secret 0ther-secret"); got != secrets.Redacted+" "+secrets.Redacted {
		t.Errorf("shown: %s", got)
	}
	same := newRun(c, ui, brokenUpload{}, map[string]any{"User": "packer", "Password": "packer"})
	if same.hidden != "" {
		t.Error("a word of every path is hidden")
	}
}

// A builder without a communicator would answer every command with nothing.
func TestWithoutACommunicatorNothingIsWaitedFor(t *testing.T) {
	c, err := decode(t, map[string]any{"stall_timeout": "10m"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, data := range []map[string]any{{"ConnType": "none"}, {"ID": "Null"}} {
		err = newRun(c, &recordUI{}, silent{}, data).provision(ctx)
		wantError(t, err, "[not-started] sysprep was not started, the machine is untouched: ", `the builder has communicator = "none"`, `set communicator = "winrm" or "ssh"`)
	}
}

// silent is Packer's communicator none.
type silent struct{ packersdk.Communicator }

func (silent) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	cmd.SetExited(0)
	return nil
}

// There is no address to connect to, or none that speaks WinRM.
func TestWithoutWhatALoginNeedsPackersCommunicatorIsUsed(t *testing.T) {
	full := map[string]any{"Host": "h", "Port": 5985, "User": "u", "Password": "s3cret", "ConnType": "winrm"}
	for name, c := range map[string]struct {
		without, instead string
		said, reason     string
	}{
		"another way": {"ConnType", "docker", "", `the communicator is "docker", not winrm`},
		"no host":     {"Host", "", "Using Packer's communicator", "at what host and port"},
		"no password": {"Password", "", "Using Packer's communicator", "set winrm { username, password }"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []string{winrmAuto, winrmOwn} {
				cfg, err := decode(t, map[string]any{"winrm": map[string]any{"mode": mode}})
				if err != nil {
					t.Fatal(err)
				}
				data := map[string]any{}
				for k, v := range full {
					data[k] = v
				}
				data[c.without] = c.instead
				ui := &recordUI{}
				r := newRun(cfg, ui, brokenUpload{}, data)
				if err := r.overrideLogin(); err != nil {
					t.Fatal(err)
				}
				over, err := r.connect(t.Context())
				if mode == winrmOwn {
					wantError(t, err, c.reason)
					continue
				}
				if over || err != nil || r.own != nil {
					t.Errorf("over %v, %v", over, err)
				}
				if !strings.Contains(ui.text(), c.said) || (ui.text() == "") != (c.said == "") {
					t.Errorf("said %q", ui.text())
				}
			}
		})
	}
}
