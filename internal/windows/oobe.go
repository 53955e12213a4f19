package windows

// OOBEPage is a page at which OOBE waits for a person, and what answers it in pass
// oobeSystem of an answer file.
type OOBEPage struct{ Name, Answer string }

// Pages of OOBE.
var (
	RegionPage        = OOBEPage{"region and keyboard", "Microsoft-Windows-International-Core with InputLocale, SystemLocale, UILanguage and UserLocale"} // [oobe-pages]
	LicencePage       = OOBEPage{"licence terms", `OOBE\HideEULAPage = true`}                                                                             // [oobe-pages]
	AccountPage       = OOBEPage{"account", `UserAccounts\LocalAccounts`}                                                                                 // [oobe-pages]
	AdministratorPage = OOBEPage{"password of the Administrator", `UserAccounts\AdministratorPassword, or OOBE\HideLocalAccountScreen = true`}            // [oobe-pages]
	PrivacyPage       = OOBEPage{"privacy", `OOBE\ProtectYourPC = 3`}                                                                                     // [oobe-pages]
)
