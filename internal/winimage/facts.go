// Package winimage looks into the disk of a Windows machine that is switched
// off: which Windows it holds, whether it is generalized, and what was left
// behind in it. Inspect gathers the facts of a disk, Look those of a drive
// whatever keeps its files, Prove judges them. Nothing is mounted, nothing is
// written, no rights are needed but to read the file.
package winimage

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Facts are what the disk says. Facts that could not be read are absent, and
// Problems says why; a fact that is absent is never taken for a good one.
type Facts struct {
	Time time.Time `json:"time"`
	Disk Disk      `json:"disk"`
	// Windows are the installations found, one a volume.
	Windows []Windows `json:"windows"`
	// Against is what became of the identity of a source (Against); absent where
	// none was named.
	Against []Change `json:"against,omitempty"`
	// Boot is what the firmware finds on the disk; nil where it has no partition
	// to start from, or none that can be read.
	Boot *Boot `json:"boot,omitempty"`
	// Secrets are files that hold one on volumes without Windows.
	Secrets []Secret `json:"secrets,omitempty"`
	// Problems are volumes or structures that could not be read, with reason.
	Problems []string `json:"problems,omitempty"`
	// Limits are what was left unread because there is too much of it.
	Limits []string `json:"limits,omitempty"`
}

// Disk is the image as a disk.
type Disk struct {
	Path   string `json:"path,omitempty"`
	Format string `json:"format,omitempty"`
	// Chain are the files whose content the disk holds, each before the one that
	// it is based on; of a disk that was converted those of its source. Absent
	// where there is one file only.
	Chain       []diskimage.Link `json:"chain,omitempty"`
	VirtualSize int64            `json:"virtual_size"` // bytes
	SectorSize  int              `json:"sector_size,omitempty"`
	// TableSector is the sector size that the partition table counts in, where
	// it is not that of the disk: nothing starts from it then.
	TableSector int    `json:"table_sector_size,omitempty"`
	Scheme      string `json:"partition_scheme"` // mbr, gpt, none
	// Generation is 1 for BIOS and an MBR with an active partition, 2 for UEFI
	// and a GPT with an EFI system partition, 0 where neither holds (the terms
	// of Hyper-V and Azure).
	Generation int   `json:"generation"`
	Partitions int   `json:"partitions"`
	BitLocker  []int `json:"bitlocker_partitions,omitempty"`
	// Others are what partitions hold on which Windows keeps no files, the first
	// ones: file systems of other systems, nothing at all.
	Others   []string `json:"other_contents,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Requests and Bytes are what it took to read a disk on a web server.
	Requests int64 `json:"http_requests,omitempty"`
	Bytes    int64 `json:"http_bytes,omitempty"`
}

// Windows is one installation.
type Windows struct {
	Partition int   `json:"partition"`
	OS        OS    `json:"os"`
	Setup     Setup `json:"setup"`
	Tag       *File `json:"tag,omitempty"`
	Log       *Log  `json:"setupact_log,omitempty"`
	// FirstBoot says why the first boot of the image failed: it was used, and is
	// no image any more.
	FirstBoot *diagnosis.Diagnosis `json:"first_boot,omitempty"`
	Hives     []Hive               `json:"hives"`
	Volume    Volume               `json:"volume"`
	Drivers   Drivers              `json:"drivers"`
	// Starting is read only where Options.Starting asks for it.
	Starting    *Starting    `json:"starting,omitempty"`
	AnswerFiles []AnswerFile `json:"answer_files"`
	// Secrets are other files that hold one.
	Secrets   []Secret  `json:"secrets,omitempty"`
	Autologon Autologon `json:"autologon"`
	// Leftovers are files and tasks that Packer or this plugin brought.
	Leftovers []string `json:"leftovers"`
	SkipRearm *uint32  `json:"skip_rearm,omitempty"`
	Clock     Clock    `json:"clock"`
	// Identity is what tells the machine from others.
	Identity Identity `json:"identity"`
	// Servicing is what updates have left.
	Servicing Servicing `json:"servicing"`
	// Problems are facts that could not be read, with reason.
	Problems []string `json:"problems,omitempty"`
	// Unread names those of them that would pass for good if they were taken
	// for absent: values of the registry and folders.
	Unread []string `json:"unread,omitempty"`
	// Limits are what was left unread because there is too much of it.
	Limits []string `json:"limits,omitempty"`
}

// Clock is how Windows takes the hardware clock
// (SYSTEM\...\Control\TimeZoneInformation).
type Clock struct {
	// UTC: RealTimeIsUniversal is set; otherwise the hardware clock is local time.
	UTC bool `json:"utc,omitempty"`
	// ActiveBias is what has to be added to local time for UTC, in minutes, as
	// it was when Windows shut down; nil where it is not known.
	ActiveBias *int32 `json:"active_bias,omitempty"`
	TimeZone   string `json:"time_zone,omitempty"`
}

// Origin is what a build needs to know of the disk it starts from; nil where
// the tag could not be looked for.
func (w Windows) Origin() *Source {
	if w.missed(tagFile) {
		return nil
	}
	return &Source{Tag: w.Tag}
}

// OS is HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion and the processor
// architecture (amd64, x86, arm64).
type OS struct {
	ProductName      string `json:"product_name,omitempty"`
	EditionID        string `json:"edition_id,omitempty"`
	InstallationType string `json:"installation_type,omitempty"`
	DisplayVersion   string `json:"display_version,omitempty"`
	Build            string `json:"build,omitempty"`
	Revision         uint32 `json:"revision,omitempty"`
	Architecture     string `json:"architecture,omitempty"`
}

// Setup is the state of Windows Setup (SYSTEM\Setup, SOFTWARE\...\Setup). A nil
// number or an empty text means that the value is absent, which is normal for
// many of them on a machine in use.
type Setup struct {
	ImageState            string  `json:"image_state,omitempty"`
	StateINI              string  `json:"state_ini,omitempty"`
	GeneralizationState   *uint32 `json:"generalization_state,omitempty"`
	CleanupState          *uint32 `json:"cleanup_state,omitempty"`
	SetupType             *uint32 `json:"setup_type,omitempty"`
	CmdLine               string  `json:"cmd_line,omitempty"`
	SystemSetupInProgress *uint32 `json:"system_setup_in_progress,omitempty"`
	OOBEInProgress        *uint32 `json:"oobe_in_progress,omitempty"`
	AuditBoot             *uint32 `json:"audit_boot,omitempty"`
	SetupCompletion       *uint32 `json:"setup_exe_completion,omitempty"`
	// UnattendFile is the registry pointer that beats every other answer file.
	UnattendFile       string `json:"unattend_file,omitempty"`
	UnattendFileExists bool   `json:"unattend_file_exists,omitempty"`
	SysprepMode        string `json:"sysprep_mode,omitempty"`
	// DeletesCached: SetupComplete.cmd deletes the cached answer file.
	DeletesCached bool `json:"deletes_cached_answer_file,omitempty"`
	// Upgraded: keys of an in-place upgrade are there.
	Upgraded bool `json:"upgraded,omitempty"`
}

// File is a file in the image; times are UTC by the guest's clock, which the
// host's has nothing to do with.
type File struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	// Record and Sequence are the file's reference in the MFT: a file that was
	// deleted and made anew has another.
	Record   int64  `json:"mft_record"`
	Sequence uint16 `json:"mft_sequence"`
}

// Log is the last run in \Windows\System32\Sysprep\Panther\setupact.log.
type Log struct {
	File
	// Runs are those in what was read of the log, which is its end.
	Runs       int      `json:"runs"`
	Options    []string `json:"options"`
	TagCreated bool     `json:"tag_created"`
	// Last are the final lines, verbatim, for a human.
	Last      []string             `json:"last_lines,omitempty"`
	Diagnosis *diagnosis.Diagnosis `json:"diagnosis,omitempty"`
}

// Hive is how a registry hive was found.
type Hive struct {
	Name string `json:"name"`
	// Clean: the hive was flushed by a full shutdown. Only then does it prove
	// anything; otherwise its logs were replayed to report.
	Clean    bool   `json:"clean"`
	Replayed int    `json:"replayed_log_entries,omitempty"`
	Problem  string `json:"problem,omitempty"`
	// Broken: it could not be opened as a hive, so that nothing it would say is
	// known to be absent.
	Broken bool `json:"unreadable,omitempty"`
}

// Volume is the state of the NTFS volume Windows lives on. Sizes are bytes.
type Volume struct {
	Size int64 `json:"size"`
	// Free is absent where it was not counted (Options.Space).
	Free         *int64 `json:"free,omitempty"`
	Dirty        bool   `json:"dirty"`
	LogClean     bool   `json:"log_clean"`
	Hibernated   bool   `json:"hibernated"`
	ShadowCopies int    `json:"shadow_copies"`
	PageFile     int64  `json:"page_file"`
	SwapFile     int64  `json:"swap_file"`
}

// Driver is a service of the current control set. Start 0 is boot, 1 system,
// 3 on demand, 4 disabled.
type Driver struct {
	Name  string `json:"name"`
	Start uint32 `json:"start"`
	// StartOverride is the value "0" of the key StartOverride, which since
	// Windows 8 beats Start: Windows sets it to 3 for the boot drivers of
	// controllers that the machine does not have.
	StartOverride *uint32 `json:"start_override,omitempty"`
}

// StartsAtBoot reports whether Windows loads the driver before it has its disk.
func (d Driver) StartsAtBoot() bool {
	if d.StartOverride != nil {
		return *d.StartOverride == windows.StartBoot
	}
	return d.Start == windows.StartBoot
}

// Drivers are those that decide on which machine the image boots.
type Drivers struct {
	Storage []Driver `json:"storage"`
	Network []Driver `json:"network"`
}

// AnswerFile is an answer file on the search path of Windows Setup
// (Microsoft, "Windows Setup Automation Overview", implicit search order).
type AnswerFile struct {
	File
	Passes []string `json:"passes,omitempty"`
	// Secrets are the settings that hold one, never the secret.
	Secrets []string `json:"secrets,omitempty"`
	// ToAudit, Generalizes and PowersOff are what the file makes of a boot that
	// nobody connects to (answerfile.Route).
	ToAudit     bool   `json:"to_audit,omitempty"`
	Generalizes string `json:"generalizes,omitempty"`
	PowersOff   bool   `json:"powers_off,omitempty"`
	// KeepsDrivers: it sets PersistAllDeviceInstalls in the pass generalize.
	KeepsDrivers bool `json:"keeps_drivers,omitempty"`
	// OOBE is nil where the file has no pass oobeSystem, or Windows has run it.
	OOBE    *OOBE  `json:"oobe,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Servicing is what updates and upgrades have left.
type Servicing struct {
	// RestartPending: an update waits for a restart, by the key RebootPending of
	// Component Based Servicing or RebootRequired of Windows Update.
	RestartPending bool `json:"restart_pending,omitempty"`
	// PendingXML: \Windows\WinSxS\pending.xml is there.
	PendingXML bool `json:"pending_xml,omitempty"`
	// FileRenames are moves of files that wait for a restart: drivers and
	// installers leave some on a machine that is well.
	FileRenames bool `json:"file_renames_pending,omitempty"`
	// Leftovers are folders of an upgrade.
	Leftovers []string `json:"upgrade_leftovers,omitempty"`
}

// Secret is a file that holds a password or a product key; which, nobody is told.
type Secret struct {
	// Partition is that of a volume without Windows.
	Partition int    `json:"partition,omitempty"`
	Path      string `json:"path"`
	// Kind is what such a file is (windows.Keeps).
	Kind string `json:"kind"`
	// Where are the settings, or the lines.
	Where   []string `json:"where,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Autologon is Winlogon; the password itself is not read.
type Autologon struct {
	Enabled                bool   `json:"enabled"`
	User                   string `json:"user,omitempty"`
	DefaultPasswordPresent bool   `json:"default_password_present"`
	// LSASecret: the LSA keeps a password for it, which may be an old one.
	LSASecret bool `json:"lsa_secret_present,omitempty"`
}
