package sysprep

import (
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/rpc"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// What a guest says reaches a user through Packer's own plugin connection, Ui
// and error.
func TestAGuestCannotSpeakToTheTerminal(t *testing.T) {
	t.Parallel()
	name := strings.NewReplacer("\x00", "", "\r", "", " ", "_", "Pq\x9b", "Pq").Replace(foreigntest.Hostile) // a word of UTF-8 on one line
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{name}}, map[string]any{"log_directory": t.TempDir() + "/\u202e::error::"})
	g.start()
	client := foreigntest.Plugin(t, func(s *rpc.PluginServer) error { return s.RegisterProvisioner(new(Provisioner)) })
	p := client.Provisioner()
	g.options["packer_builder_type"], g.options["packer_build_name"] = "null", "test"
	if err := p.Prepare(g.options); err != nil {
		t.Fatal(err)
	}
	screen := foreigntest.NewScreen()
	data := map[string]any{"Host": g.sim.Host, "Port": int64(g.sim.Port), "User": simUser, "ConnType": "winrm"}
	err := p.Provision(t.Context(), screen, g.communicator(), data)
	if err == nil {
		t.Fatal("no error")
	}
	for what, text := range map[string]string{"screen": screen.String(), "error": err.Error()} {
		if harm := foreigntest.Harm(text); harm != "" {
			t.Errorf("the %s shows %s\n%q", what, harm, text)
		}
	}
	want(t, screen.String(), "cause: F01", `\u202eevil\u2066`, `\x23#vso[task`)
}

func TestOptionsCannotSpeakToTheTerminal(t *testing.T) {
	client := foreigntest.Plugin(t, func(s *rpc.PluginServer) error { return s.RegisterProvisioner(new(Provisioner)) })
	err := client.Provisioner().Prepare(map[string]any{
		"answer_file": "HTTPS://u:TopSecret@host/" + strings.ReplaceAll(foreigntest.Hostile, " ", "") + "?sig=TopSecret", "mode": foreigntest.Hostile, "packer_build_name": "x",
	})
	if err == nil {
		t.Fatal("no error")
	}
	if harm := foreigntest.Harm(err.Error()); harm != "" {
		t.Errorf("the error shows %s\n%q", harm, err)
	}
}
