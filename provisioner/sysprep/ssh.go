package sysprep

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sshport"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// overSSH says whether Packer's communicator is SSH's.
func (r *run) overSSH() bool { return r.connType == "ssh" }

// probeSSH asks the SSH port from this host. Packer may reach the guest another way,
// by a bastion or a proxy, and does not say so: a port that was never seen open from
// here says nothing by being closed.
func (r *run) probeSSH(ctx context.Context, host string, port int) (winrm.Reach, error) {
	reach, err := sshport.Probe(ctx, nil, host, port)
	if reach == winrm.Open {
		r.direct.Store(true)
	}
	return reach, err
}
