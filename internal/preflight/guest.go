package preflight

import (
	"encoding/json"
	"strings"
	"time"
)

// Group is a group of facts that is asked for by itself.
type Group string

// Groups of preflight.ps1.
const (
	Base      Group = "base"
	Appx      Group = "appx"
	Licensing Group = "licensing"
	Roles     Group = "roles"
	Events    Group = "events"
	EFS       Group = "efs"
)

// Groups lists all of them.
func Groups() []Group { return []Group{Base, Appx, Licensing, Roles, Events, EFS} }

// Facts is what a guest said of itself. Names and meanings are those of
// internal/guest/scripts/contract.md, in JSON too; a nil pointer is a value that the guest
// does not have, or was not asked for.
type Facts struct {
	Time  time.Time `json:"time,omitzero"` // the guest's clock when it was asked first; zero: not known
	Asked []Group   `json:"groups,omitempty"`

	Engine            Fact[Engine]             `json:"engine,omitzero"`
	Sysprep           Fact[Sysprep]            `json:"sysprep,omitzero"`
	Identity          Fact[Identity]           `json:"identity,omitzero"`
	Processes         Fact[Processes]          `json:"processes,omitzero"`
	ImageState        Fact[ImageState]         `json:"imageState,omitzero"`
	Setup             Fact[Setup]              `json:"setup,omitzero"`
	OS                Fact[OS]                 `json:"os,omitzero"`
	Computer          Fact[Computer]           `json:"computer,omitzero"`
	RebootPending     Fact[RebootPending]      `json:"rebootPending,omitzero"`
	ReservedStorage   Fact[ReservedStorage]    `json:"reservedStorage,omitzero"`
	BitLocker         Fact[BitLocker]          `json:"bitlocker,omitzero"`
	TPM               Fact[TPM]                `json:"tpm,omitzero"`
	Services          Fact[map[string]Service] `json:"services,omitzero"`
	AnswerFiles       Fact[AnswerFiles]        `json:"answerFiles,omitzero"`
	HyperV            Fact[HyperV]             `json:"hyperv,omitzero"`
	NPS               Fact[NPS]                `json:"nps,omitzero"`
	Cluster           Fact[Cluster]            `json:"cluster,omitzero"`
	Defender          Fact[Defender]           `json:"defender,omitzero"`
	DSC               Fact[DSC]                `json:"dsc,omitzero"`
	Profiles          Fact[Profiles]           `json:"profiles,omitzero"`
	Disk              Fact[Disk]               `json:"disk,omitzero"`
	Autologon         Fact[Autologon]          `json:"autologon,omitzero"`
	ExternalProviders Fact[ExternalProviders]  `json:"externalProviders,omitzero"`
	LicensingRegistry Fact[LicensingRegistry]  `json:"licensingRegistry,omitzero"`
	StorePolicy       Fact[StorePolicy]        `json:"storePolicy,omitzero"`
	PackerLeftovers   Fact[PackerLeftovers]    `json:"packerLeftovers,omitzero"`
	PageFile          Fact[PageFile]           `json:"pageFile,omitzero"`
	Clock             Fact[Clock]              `json:"clock,omitzero"`
	WinRM             Fact[WinRM]              `json:"winrm,omitzero"`
	BootEntries       Fact[BootEntries]        `json:"bootEntries,omitzero"`
	Appx              Fact[AppxPackages]       `json:"appx,omitzero"`
	AppxProvisioned   Fact[AppxProvisioned]    `json:"appxProvisioned,omitzero"`
	Licensing         Fact[LicenceState]       `json:"licensing,omitzero"`
	Roles             Fact[InstalledRoles]     `json:"roles,omitzero"`
	OptionalFeatures  Fact[Features]           `json:"optionalFeatures,omitzero"`
	EventLogs         Fact[EventLogs]          `json:"eventLogs,omitzero"`
	EncryptedFiles    Fact[EncryptedFiles]     `json:"encryptedFiles,omitzero"`
}

func (f *Facts) takers() map[string]func(json.RawMessage) {
	return map[string]func(json.RawMessage){
		"engine": f.Engine.take, "sysprep": f.Sysprep.take, "identity": f.Identity.take, "processes": f.Processes.take,
		"imageState": f.ImageState.take, "setup": f.Setup.take, "os": f.OS.take, "computer": f.Computer.take,
		"rebootPending": f.RebootPending.take, "reservedStorage": f.ReservedStorage.take, "bitlocker": f.BitLocker.take, "tpm": f.TPM.take,
		"services": f.Services.take, "answerFiles": f.AnswerFiles.take, "hyperv": f.HyperV.take, "nps": f.NPS.take,
		"cluster": f.Cluster.take, "defender": f.Defender.take, "dsc": f.DSC.take, "profiles": f.Profiles.take, "disk": f.Disk.take,
		"autologon": f.Autologon.take, "externalProviders": f.ExternalProviders.take, "licensingRegistry": f.LicensingRegistry.take,
		"storePolicy": f.StorePolicy.take, "packerLeftovers": f.PackerLeftovers.take, "pageFile": f.PageFile.take, "winrm": f.WinRM.take,
		"clock": f.Clock.take, "bootEntries": f.BootEntries.take,
		"appx": f.Appx.take, "appxProvisioned": f.AppxProvisioned.take, "licensing": f.Licensing.take, "roles": f.Roles.take,
		"optionalFeatures": f.OptionalFeatures.take, "eventLogs": f.EventLogs.take, "encryptedFiles": f.EncryptedFiles.take,
	}
}

// Engine is the PowerShell that answered.
type Engine struct {
	Version      string `json:"version"`
	LanguageMode string `json:"languageMode"`
	Process64    *bool  `json:"process64"`
	OS64         *bool  `json:"os64"`
}

// redirected reports whether the PowerShell that answered is a 32-bit one on a 64-bit
// Windows, which is shown other folders and keys than there are.
func (e Engine) redirected() bool {
	return e.Process64 != nil && e.OS64 != nil && !*e.Process64 && *e.OS64
}

// File is a file, whether or not it is there.
type File struct {
	Path   string `json:"path"`
	Exists *bool  `json:"exists"`
	Media  string `json:"media"` // of an answer file: fixed, removable, cdrom
}

// Sysprep is its program.
type Sysprep struct {
	Exe File `json:"exe"`
}

// Identity is the account that asked.
type Identity struct {
	Domain       string   `json:"domain"`
	Name         string   `json:"name"`
	SID          string   `json:"sid"`
	IntegritySID string   `json:"integritySid"`
	GroupSIDs    []string `json:"groupSids"`
}

// Processes are the programs of sysprep, Setup and servicing that run.
type Processes struct {
	List []Process `json:"list"`
}

// Process is one of them.
type Process struct {
	Name string `json:"name"`
	ID   int    `json:"id"`
	// asked: it was not there when the guest was asked first. What services Windows is
	// started by questions to it, and then runs for minutes without work.
	asked bool
}

// ImageState is the state of the installation, by its two sources.
type ImageState struct {
	Registry string `json:"registry"`
	StateINI string `json:"stateIni"`
}

// Setup is what Windows Setup and sysprep have noted in the registry.
type Setup struct {
	Status struct {
		GeneralizationState *int64
		CleanupState        *int64
	} `json:"status"`
	Setup struct {
		SystemSetupInProgress, OOBEInProgress, SetupType *int64
	} `json:"setup"`
	UpgradedFrom []string `json:"upgradedFrom"`
}

// OS is the version of Windows.
type OS struct {
	ProductName        string
	CurrentBuildNumber string
	EditionID          string
	InstallationType   string
	ProductType        int    `json:"productType"` // 1 client, 2 domain controller, 3 server
	Caption            string `json:"caption"`
}

// Computer is the machine and its domain.
type Computer struct {
	Name              string `json:"name"`
	PartOfDomain      *bool  `json:"partOfDomain"`
	DomainRole        *int   `json:"domainRole"` // 4 and 5 are domain controllers
	Domain            string `json:"domain"`
	Manufacturer      string `json:"manufacturer"`
	Model             string `json:"model"`
	HypervisorPresent *bool  `json:"hypervisorPresent"`
}

// RebootPending is what waits for a restart.
type RebootPending struct {
	CBSRebootPending     *bool    `json:"cbsRebootPending"`
	CBSPackagesPending   *bool    `json:"cbsPackagesPending"`
	CBSRebootInProgress  *bool    `json:"cbsRebootInProgress"`
	UpdateRebootRequired *bool    `json:"updateRebootRequired"`
	PendingXML           File     `json:"pendingXml"`
	FileRenames          *int     `json:"fileRenames"`
	FileRenameSample     []string `json:"fileRenameSample"`
}

// ReservedStorage is the space that Windows keeps for updates.
type ReservedStorage struct {
	ActiveScenario *int64
	State          *string `json:"state"`
	// StateError is why Windows did not tell the state, though it has the cmdlet.
	StateError string `json:"stateError"`
}

// BitLocker is the encryption of the volumes.
type BitLocker struct {
	Available   *bool  `json:"available"`
	SystemDrive string `json:"systemDrive"`
	Volumes     []struct {
		Drive                string `json:"drive"`
		ReturnValue          int64  `json:"returnValue"`
		ConversionStatus     *int64 `json:"conversionStatus"`
		EncryptionPercentage *int64 `json:"encryptionPercentage"`
	} `json:"volumes"`
	PreventDeviceEncryption *int64 `json:"preventDeviceEncryption"`
}

// TPM is the machine's.
type TPM struct {
	Present *bool `json:"present"`
}

// Service is one that exists. Status and Mode are nil for a driver.
type Service struct {
	Start  *int64  `json:"start"` // of the registry: 0 boot, 1 system, 2 automatic, 3 manual, 4 disabled
	Status *string `json:"status"`
	// Mode is the start type that the service control manager goes by until Windows starts
	// again: Automatic, Manual or Disabled. Nil: not known.
	Mode *string `json:"mode"`
}

func (s Service) disabled() bool { return s.Start != nil && *s.Start == 4 }

// untilRestart reports whether it is disabled until Windows starts again, though the registry
// says otherwise.
func (s Service) untilRestart() bool {
	return s.Start != nil && *s.Start != 4 && s.Mode != nil && strings.EqualFold(*s.Mode, "Disabled")
}
func (s Service) runs() bool { return s.Status != nil && *s.Status == "Running" }

// AnswerFiles are those on Windows' search path.
type AnswerFiles struct {
	RegistryPointer *string `json:"registryPointer"`
	Found           []File  `json:"found"`
}

// HyperV are the virtual switches of the role.
type HyperV struct {
	Cmdlet   bool `json:"cmdlet"`
	Switches []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"switches"`
}

// NPS is the Network Policy Server.
type NPS struct {
	Installed          *bool    `json:"installed"`
	Clients            []string `json:"clients"`
	RemoteServerGroups []string `json:"remoteServerGroups"` // lines of netsh, in the guest's language
}

// Cluster says whether the machine is a node of one.
type Cluster struct {
	Key *bool `json:"key"`
}

// Defender is Defender for Endpoint.
type Defender struct {
	SenseGUID       *bool  `json:"senseGuid"`
	OnboardingState *int64 `json:"onboardingState"`
}

// DSC is Desired State Configuration.
type DSC struct {
	CurrentMOF File `json:"currentMof"`
	PendingMOF File `json:"pendingMof"`
}

// Profiles are those of ProfileList.
type Profiles struct {
	List []Profile `json:"list"`
}

// Profile is one of an account.
type Profile struct {
	SID    string `json:"sid"`
	Path   string `json:"path"`
	Exists *bool  `json:"exists"`
}

// Disk is the system drive; sizes are bytes.
type Disk struct {
	Drive string `json:"drive"`
	Size  int64  `json:"size"`
	Free  *int64 `json:"free"`
}

// Autologon is the logon without a person.
type Autologon struct {
	AutoAdminLogon         *string
	DefaultUserName        *string
	DefaultPasswordPresent *bool `json:"defaultPasswordPresent"`
}

// ExternalProviders take part in generalize beside Windows' own.
type ExternalProviders struct {
	List []Provider `json:"list"`
}

// Provider is one of them.
type Provider struct {
	Phase  string `json:"phase"`
	Name   string `json:"name"`
	Data   string `json:"data"`
	DLL    string `json:"dll"`
	Exists *bool  `json:"exists"`
	// Company is that of the DLL; nil: it names none.
	Company *string `json:"company"`
}

// LicensingRegistry is what keeps sysprep from a rearm.
type LicensingRegistry struct {
	SkipRearm *int64
}

// StorePolicy are policies that bear on an image.
type StorePolicy struct {
	AutoDownload     *int64 `json:"autoDownload"`
	HiberbootEnabled *int64 `json:"hiberbootEnabled"`
}

// PackerLeftovers are scheduled tasks of builds.
type PackerLeftovers struct {
	Tasks []string `json:"tasks"`
}

// LicenceState is what Windows' licensing says.
type LicenceState struct {
	RemainingWindowsReArmCount *int64    `json:"remainingWindowsReArmCount"`
	Products                   []Product `json:"products"`
}

// Product is a licensed product.
type Product struct {
	Name                   string `json:"name"`
	Description            string `json:"description"`
	RemainingSKUReArmCount *int64 `json:"remainingSkuReArmCount"`
	EvaluationEnd          string `json:"evaluationEnd"`
}

// InstalledRoles are the names of Get-WindowsFeature; Source is none where that is not
// there.
type InstalledRoles struct {
	Source    string   `json:"source"`
	Installed []string `json:"installed"`
}

// Features are optional features by their DISM names.
type Features struct {
	Installed []string `json:"installed"`
}

// EventLogs are those that were moved.
type EventLogs struct {
	Elsewhere []struct {
		Channel string `json:"channel"`
		File    string `json:"file"`
	} `json:"elsewhere"`
}

// EncryptedFiles is what cipher.exe prints.
type EncryptedFiles struct {
	ExitCode int      `json:"exitCode"`
	Lines    []string `json:"lines"`
}

// PageFile are the page files, as PagingFiles of the registry has them.
type PageFile struct {
	Files []string `json:"files"`
}

// Clock is the guest's.
type Clock struct {
	UTC  time.Time `json:"utc"`
	Zone *string   `json:"zone"`
}

// WinRM is the configuration of the service, which an image keeps; nil values are
// Windows' defaults.
type WinRM struct {
	Service *struct {
		AllowUnencrypted *int64 `json:"allow_unencrypted"`
		Basic            *int64 `json:"auth_basic"`
		CredSSP          *int64 `json:"auth_credssp"`
	} `json:"service"`
	Listeners []struct {
		Name        string  `json:"name"`
		Certificate *string `json:"certificate"`
	} `json:"listeners"`
}

// BootEntries are the systems that the machine can start.
type BootEntries struct {
	Key  *bool `json:"key"` // false: the boot configuration cannot be read
	List []struct {
		Description *string `json:"description"`
		WinPE       bool    `json:"winpe"`
	} `json:"list"`
}
