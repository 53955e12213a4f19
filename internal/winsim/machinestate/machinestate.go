// Package machinestate is what a simulated machine is like beyond its registry, its
// files and its processes: what Windows tells through CIM, cmdlets and programs. The
// pre-flight reads it, remedies change it, and a run of sysprep is refused by it.
package machinestate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// State is one machine. The zero value is no machine; winsim fills it.
type State struct {
	// Running are the services that run, by name. Which services there are, and
	// how they start, is in the registry.
	Running map[string]bool `json:"running,omitempty"`
	// Stubborn are services that do not stop, and Protected those whose start type
	// Windows lets nobody change.
	Stubborn  []string `json:"stubborn,omitempty"`
	Protected []string `json:"protected,omitempty"`
	// Unread are services that the service control manager has as disabled until the next
	// start, whatever the registry says.
	Unread []string `json:"unread,omitempty"`

	// NoAppx: the cmdlets of Appx are not there, as on Server Core. NoNonRemovable:
	// packages have no such property, as before 1709.
	NoAppx         bool          `json:"no_appx,omitempty"`
	NoNonRemovable bool          `json:"no_non_removable,omitempty"`
	Packages       []Package     `json:"packages,omitempty"`
	Provisioned    []Provisioned `json:"provisioned,omitempty"`

	// ReservedStorage is Enabled or Disabled; empty: the cmdlets are not there.
	ReservedStorage string `json:"reserved_storage,omitempty"`
	// BitLocker: it is installed.
	BitLocker bool     `json:"bitlocker,omitempty"`
	Volumes   []Volume `json:"volumes,omitempty"`
	// TPM is whether it is enabled; nil: there is none.
	TPM *bool `json:"tpm,omitempty"`

	Rearm    int       `json:"rearm"` // how often Windows may be rearmed
	Products []Product `json:"products,omitempty"`

	// Roles are the features of a server by name, OptionalFeatures those of DISM.
	// ServerManager: Get-WindowsFeature is there.
	ServerManager    bool     `json:"server_manager,omitempty"`
	Roles            []string `json:"roles,omitempty"`
	OptionalFeatures []string `json:"optional_features,omitempty"`
	// HyperVTools: Get-VMSwitch is there.
	HyperVTools bool     `json:"hyperv_tools,omitempty"`
	Switches    []Switch `json:"switches,omitempty"`
	// NPSTools: Get-NpsRadiusClient is there. RemoteGroups are netsh's lines.
	NPSTools      bool     `json:"nps_tools,omitempty"`
	RadiusClients []string `json:"radius_clients,omitempty"`
	RemoteGroups  []string `json:"remote_groups,omitempty"`

	OS       OS       `json:"os,omitzero"`
	Computer Computer `json:"computer,omitzero"`
	Disk     Disk     `json:"disk,omitzero"`
	// Media are the drives that are removable, or CDs.
	Media []Media `json:"media,omitempty"`
	// Token is that of the account which packer connects as; nil: as the user is.
	Token *Token `json:"token,omitempty"`
	// Encrypted are the files that cipher.exe lists.
	Encrypted []string `json:"encrypted,omitempty"`
	// Shadows are the shadow copies, by their sizes in bytes.
	Shadows []int64 `json:"shadows,omitempty"`
	// Superseded is what a clean-up of the component store frees, in bytes.
	Superseded int64 `json:"superseded,omitempty"`
	// Off are the accounts that were disabled, and RandomPasswords is how often the
	// built-in Administrator got one.
	Off             []string `json:"off,omitempty"`
	RandomPasswords int      `json:"random_passwords,omitempty"`
	// Companies are those that made a DLL, by its path in lower case.
	Companies map[string]string `json:"companies,omitempty"`
}

// Package is an app package that is installed for users.
type Package struct {
	Name            string `json:"name"`
	FullName        string `json:"full_name"`
	FamilyName      string `json:"family_name"`
	Version         string `json:"version"`
	SignatureKind   string `json:"signature_kind"`
	Framework       bool   `json:"framework,omitempty"`
	Resource        bool   `json:"resource,omitempty"`
	Bundle          bool   `json:"bundle,omitempty"`
	NonRemovable    bool   `json:"non_removable,omitempty"`
	InstallLocation string `json:"install_location,omitempty"`
	Users           []User `json:"users,omitempty"`
}

// User is one for whom a package is there.
type User struct {
	SID   string `json:"sid"`
	Name  string `json:"name"`
	State string `json:"state"` // Installed or Staged
}

// Provisioned is an app package that every new user gets.
type Provisioned struct {
	DisplayName string `json:"display_name"`
	PackageName string `json:"package_name"`
	Version     string `json:"version"`
}

// Volume is one that BitLocker knows. Conversion is ConversionStatus: 0 decrypted,
// 1 encrypted, 2 encrypting, 3 decrypting.
type Volume struct {
	Drive      string `json:"drive"` // empty: it has no letter
	Conversion int    `json:"conversion"`
	Percent    int    `json:"percent"` // that is encrypted
	Protection int    `json:"protection"`
	// DecryptReturn is what Decrypt returns; 0: it begins. DecryptTakes is how long
	// that takes in all; since when is in Began.
	DecryptReturn int64         `json:"decrypt_return,omitempty"`
	DecryptTakes  time.Duration `json:"decrypt_takes,omitempty"`
	Began         time.Time     `json:"began,omitzero"`
}

// Decrypt begins to decrypt at a time, unless it refuses, and returns what the
// method does.
func (v *Volume) Decrypt(now time.Time) int64 {
	if v.DecryptReturn == 0 && v.Conversion != 0 && v.Conversion != 3 {
		v.Conversion, v.Began = 3, now
	}
	return v.DecryptReturn
}

// At is the volume at a time: decryption goes on by itself.
func (v Volume) At(now time.Time) Volume {
	if v.Conversion != 3 || v.Began.IsZero() {
		return v
	}
	since := now.Sub(v.Began)
	if since >= v.DecryptTakes {
		v.Conversion, v.Percent, v.Began = 0, 0, time.Time{}
		return v
	}
	v.Percent = min(v.Percent, 100-int(100*since/v.DecryptTakes))
	return v
}

// Product is a licensed product. Evaluation ends in the year 1601 where it is none.
type Product struct {
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	LicenseStatus int       `json:"license_status"`
	Rearm         int       `json:"rearm"`
	GraceMinutes  int       `json:"grace_minutes"`
	EvaluationEnd time.Time `json:"evaluation_end"`
}

// Switch is a virtual switch of Hyper-V.
type Switch struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// OS is Win32_OperatingSystem. ProductType: 1 a client, 2 a domain controller, 3 a
// server.
type OS struct {
	ProductType int       `json:"product_type"`
	Caption     string    `json:"caption"`
	LastBoot    time.Time `json:"last_boot,omitzero"`
}

// Computer is Win32_ComputerSystem. DomainRole: 0 and 2 in a workgroup, 1 and 3 a
// member, 4 and 5 a domain controller.
type Computer struct {
	Name              string `json:"name"`
	PartOfDomain      bool   `json:"part_of_domain,omitempty"`
	DomainRole        int    `json:"domain_role"`
	Domain            string `json:"domain"`
	Manufacturer      string `json:"manufacturer"`
	Model             string `json:"model"`
	HypervisorPresent *bool  `json:"hypervisor_present,omitempty"` // nil: Windows does not tell
}

// Disk is the volume that Windows is on, in bytes.
type Disk struct {
	FileSystem string `json:"file_system"`
	Size       int64  `json:"size"`
	Free       int64  `json:"free"`
}

// Media is a drive; Type: 2 removable, 5 a CD. Files are by their names in its root.
type Media struct {
	Drive string            `json:"drive"` // D:
	Type  int               `json:"type"`
	Files map[string]string `json:"files,omitempty"`
}

// Token is what whoami.exe tells.
type Token struct {
	SID        string   `json:"sid"`
	Groups     []string `json:"groups"`
	Privileges []string `json:"privileges"`
}

// Machine is a State that several programs look at and change.
type Machine struct {
	mu    sync.Mutex
	state State
	saved func(text string)
}

// New makes a machine. Saved takes the text of each state that it comes into by a
// change, in order; nil: nobody keeps it.
func New(s State, saved func(text string)) *Machine { return &Machine{state: s, saved: saved} }

// View lets look at the state, which must not be kept or changed.
func (m *Machine) View(look func(*State)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	look(&m.state)
}

// Change changes the state.
func (m *Machine) Change(change func(*State)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.state)
	if m.saved == nil {
		return nil
	}
	text, err := json.Marshal(m.state)
	if err != nil {
		return fmt.Errorf("keeping the state of the machine: %w", err)
	}
	m.saved(string(text))
	return nil
}

// Parse reads a text that a machine has handed to saved.
func Parse(text string) (State, error) {
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("reading the state of the machine: %w", err)
	}
	return s, nil
}

// At is a copy of the state, as it is at a time.
func (s *State) At(now time.Time) State {
	c := *s
	c.Running = maps.Clone(s.Running)
	c.Packages = slices.Clone(s.Packages)
	c.Provisioned = slices.Clone(s.Provisioned)
	c.Volumes = nil
	for _, v := range s.Volumes {
		c.Volumes = append(c.Volumes, v.At(now))
	}
	return c
}
