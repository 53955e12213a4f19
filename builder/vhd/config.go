//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config
//go:generate go tool packer-sdc struct-markdown

package vhd

import (
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
)

// Config holds the options of source "sysprep-vhd".
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	// The communicator. Defaults to `winrm`.
	Comm communicator.Config `mapstructure:",squash"`

	// With `winrm_use_ssl`: the path on the host of PEM certificates, those that
	// may have signed the guest's, in place of the host's own. The certificate has
	// to be for the address that is connected to, which is 127.0.0.1 in QEMU: use
	// `winrm_pin` where it is not.
	WinRMCAFile string `mapstructure:"winrm_ca_file"`
	// With `winrm_use_ssl`: the SHA-256 fingerprint of the guest's certificate, in
	// hexadecimal digits with or without colons. Only that one is accepted, whoever
	// signed it and for whatever name.
	WinRMPin string `mapstructure:"winrm_pin"`

	// How many logins in a row the guest may refuse before none is tried for 15
	// minutes. Windows locks an account after a number of wrong passwords: 10 by default since
	// Windows 11 22H2, 5 or fewer where the CIS benchmarks are followed. Until then
	// they follow each other at growing intervals, because an account that
	// Windows is still setting up is refused too. With SSH it counts passwords, not
	// keys. Defaults to `4`.
	LoginAttempts int `mapstructure:"login_attempts"`

	// What runs the machine; each has options of its own, see
	// [Hypervisors](#hypervisors). Defaults to `qemu`.
	Hypervisor string `mapstructure:"hypervisor"`

	// The disk to start from: a VHD (fixed, dynamic or differencing), VHDX,
	// qcow2, VMDK, OVA or raw file. The format is recognised by content, not by name. The
	// file is opened read-only and never changed. One of `source_path` and
	// `source_url` is required, unless the machine exists already.
	SourcePath string `mapstructure:"source_path"`
	// Where to download the disk from, in any form that Packer's downloader accepts.
	// The file is kept in Packer's cache. User, password and query of a URL
	// are never shown.
	SourceURL string `mapstructure:"source_url"`
	// The checksum of `source_url`, as `sha256:...` or `file:...`, like an
	// `iso_checksum`; `none` skips the check. Required with `source_url`.
	SourceChecksum string `mapstructure:"source_checksum"`
	// Files and folders that the source, or the disk of an existing machine, may
	// be based on. A qcow2 overlay or a differencing disk names its backing file
	// itself, and the content of that file becomes part of the image: files other than
	// those in the folder of the image are read only if they are named here. A
	// folder stands for everything below it. Empty by default.
	BackingFiles []string `mapstructure:"backing_files"`

	// The number of virtual processors. Defaults to `2`.
	CPUs int `mapstructure:"cpus"`
	// The memory of the machine in MiB. Defaults to `4096`.
	Memory int `mapstructure:"memory"`
	// What starts the disk: `bios`, `uefi` or `auto`, which follows the
	// partition table: MBR is started by BIOS, GPT by UEFI. Defaults to `auto`.
	Firmware string `mapstructure:"firmware"`
	// What the hardware clock of the machine shows: `auto`, `local` or `UTC`.
	// Windows reads it as local time of its own time zone, unless its registry
	// says that it is UTC (`RealTimeIsUniversal`). `auto` reads both from the
	// source disk, so that the guest's clock is right whatever the time zone of
	// the host is; where the disk does not say, it is `local`. `local` is the
	// host's local time, `UTC` is UTC. The proof of the image compares no clock
	// of the guest with one of the host. Defaults to `auto`.
	RTCTimeBase string `mapstructure:"rtc_time_base"`
	// Where the disk is put. The folder must be empty or absent; with
	// `packer build -force` a disk of the same name in it is replaced, together
	// with its report, but only once the new one is finished and proven;
	// other files stay. One build at a time uses a folder: a second is refused.
	// The folder also holds the scratch files of the build, so it needs room for
	// the guest's changes besides the output; those of a build that was killed
	// are removed by the next. A screenshot of a guest that failed is
	// written beside the folder, as `<output_directory>-screen.png`. All of
	// these are checked before the build. Defaults to `output-<build name>`.
	OutputDirectory string `mapstructure:"output_directory"`
	// The name of the disk without its extension, which follows `format`.
	// Defaults to `packer-<build name>`.
	OutputName string `mapstructure:"output_name"`
	// The format of the output: `vhd`, `vhdx`, `qcow2` or `raw`. Defaults to `vhd`.
	Format string `mapstructure:"format"`
	// The type of a VHD: `fixed`, the only one that Azure accepts, or `dynamic`.
	// Only with `format = "vhd"`, and then `fixed` by default.
	VHDType string `mapstructure:"vhd_type"`

	// Leave out the free clusters of NTFS volumes: the output is
	// smaller, and deleted files are not in it. The content of
	// `pagefile.sys` and `swapfile.sys` is dropped; Windows writes it again. The
	// whole disk is copied, with a warning, where free clusters may still
	// matter: a volume is dirty, hibernated, encrypted, damaged or has shadow
	// copies, or the page file holds a crash dump. Defaults to `true`.
	Compact config.Trilean `mapstructure:"compact"`

	// A command that shuts the guest down after provisioning. It is not needed
	// after `provisioner "sysprep"`, which ends with a guest that is off; when
	// the guest is off already the command is not sent. Empty by default.
	ShutdownCommand string `mapstructure:"shutdown_command"`
	// How long the guest may take to power off after provisioning. Only then is
	// it asked over ACPI, every 25 seconds for the same time again, because a Windows
	// whose display is off treats the first press of its power button as a
	// wake-up only. After that it is forced off, which fails the build: a killed
	// guest cannot be used as an image. It is also how long provisioners may go on after the
	// guest has powered itself off, and, up to 4 minutes, how long a Windows
	// whose run failed for an unknown reason may take to shut down and write its
	// logs before its disk is read for the cause. Defaults to `5m`.
	//
	// With `communicator = "none"` it is how long the guest may take from its start
	// until it has powered itself off, and it is not asked over ACPI. Defaults to
	// `2h` then.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
	// With `communicator = "none"`: how long the guest may show no sign of life (no
	// write to its disk, no change of its screen, no restart) before the build gives
	// it up. Defaults to `15m`.
	StallTimeout time.Duration `mapstructure:"stall_timeout"`
	// How the finished disk is proven before it is handed on; see the block
	// below.
	Verify proof.Config `mapstructure:"verify"`
	// Boot a throw-away clone of the finished image before it is handed on; see the block
	// below. Without it nothing is booted.
	BootTest *BootTest `mapstructure:"boot_test"`
	// Where the report on this build is written; see the block below.
	Report block.Config `mapstructure:"report"`
	// A statement beside the disk that it is proven, for other programs to verify; see
	// the block below. By default there is none.
	Evidence *evidencefile.Config `mapstructure:"evidence"`
	// Write what the Windows of the proven image is made of (build, packages, updates,
	// programs, drivers, services) beside the disk, as `<disk>.cdx.json`: a bill of
	// materials in the form of CycloneDX 1.6, the one that the
	// [command `sbom`](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/how-to/sbom.md)
	// writes. It is the second file of the artifact, and `evidence` names its SHA-256.
	// A disk with several Windows needs `verify { windows }`. Defaults to `false`.
	SBOM bool `mapstructure:"sbom"`

	// drivers hold the options of each driver by its name.
	drivers map[string]hypervisor.Options

	// guard is of the account that the communicator logs in with.
	guard *lockout.Guard

	ctx interpolate.Context
}
