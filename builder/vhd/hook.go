package vhd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// pollInterval is between two looks whether the build was cancelled: the SDK notes that in
// the state of the build.
const pollInterval = 100 * time.Millisecond

func poll() <-chan time.Time { return time.After(pollInterval) }

// runHook runs the provisioners, or after an error the error-cleanup-provisioner. It does not
// wait for them after a cancel.
type runHook struct{}

func (h runHook) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	return h.run(ctx, state, packersdk.HookProvision, func(err error) error { return err })
}

func (h runHook) Cleanup(state multistep.StateBag) {
	before, ok := state.Get("error").(error)
	if !ok {
		return
	}
	state.Get("ui").(packersdk.Ui).Say("Provisioning failed: running the error-cleanup-provisioner, if there is one")
	h.run(context.Background(), state, packersdk.HookCleanupProvision, func(err error) error {
		return fmt.Errorf("%w; the error-cleanup-provisioner failed too: %w", before, err)
	})
}

func (runHook) run(ctx context.Context, state multistep.StateBag, name string, tell func(error) error) multistep.StepAction {
	hook, ok := state.Get("hook").(packersdk.Hook)
	if !ok {
		return halt(state, errors.New("Packer gave no provisioners to run")) //nolint:staticcheck // Packer is a name
	}
	ui := state.Get("ui").(packersdk.Ui)
	comm, _ := state.Get("communicator").(packersdk.Communicator)
	data := hookData(state)
	state.Put("generated_data", data) // post-processors read it too
	ended := make(chan error, 1)
	go func() { ended <- hook.Run(ctx, name, ui, comm, data) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				state.Put("error", tell(err))
				return multistep.ActionHalt
			}
			return multistep.ActionContinue
		case <-ctx.Done():
			return multistep.ActionHalt
		case <-poll():
			if _, ok := state.GetOk(multistep.StateCancelled); ok {
				return multistep.ActionHalt
			}
		}
	}
}

// hookData is what templates know as build.Host, build.Password and so on, under the names
// that the SDK has given them. There is no web server, which the SDK says with these texts.
func hookData(state multistep.StateBag) map[string]any {
	data := map[string]any{}
	if before, ok := state.Get("generated_data").(map[string]any); ok {
		data = maps.Clone(before)
	}
	data["ID"] = "ERR_ID_NOT_IMPLEMENTED_BY_BUILDER"
	if id, ok := state.GetOk("instance_id"); ok {
		data["ID"] = id
	}
	data["PackerRunUUID"] = os.Getenv("PACKER_RUN_UUID")
	for _, what := range []string{"IP", "Port", "Addr"} {
		data["PackerHTTP"+what] = "ERR_HTTP_" + map[string]string{"IP": "IP", "Port": "PORT", "Addr": "ADDR"}[what] + "_NOT_IMPLEMENTED_BY_BUILDER"
	}
	c, ok := state.Get("communicator_config").(*communicator.Config)
	if !ok {
		return data
	}
	maps.Copy(data, map[string]any{
		"Host": c.Host(), "Port": c.Port(), "User": c.User(), "Password": c.Password(), "ConnType": c.Type,
		"SSHPublicKey": string(c.SSHPublicKey), "SSHPrivateKey": string(c.SSHPrivateKey), "SSHPrivateKeyFile": c.SSHPrivateKeyFile, "SSHAgentAuth": c.SSHAgentAuth,
		"WinRMPassword": c.WinRMPassword,
	})
	return data
}
