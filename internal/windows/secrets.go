package windows

// Keeps is what a place is for, where files with passwords stay behind.
type Keeps string

// What such files are.
const (
	AnswerFiles Keeps = "answer file" // [answer-file-copies]
	Scripts     Keeps = "script"      // [setup-complete]
	Histories   Keeps = "history"     // [powershell-history]
	Transcripts Keeps = "transcript"  // [powershell-transcripts]
	UserData    Keeps = "user data"   // [user-data]
)

// SecretPlace is where files with passwords and product keys stay behind.
type SecretPlace struct {
	Keeps Keeps
	// Folder is a path on the volume. A part * stands for every folder there.
	Folder string
	// Names are patterns, in small letters where a * in them stands for any text.
	Names []string
	// AnyVolume: they may lie on each volume of a disk, not on that of Windows
	// alone.
	AnyVolume bool
}

var scripts = []string{
	"*.cmd", "*.bat", "*.ps1", "*.psm1", "*.psd1", // [setup-complete]
	"*.vbs", "*.js", "*.reg", "*.xml", // [setup-complete]
	"*.txt", "*.ini", "*.json", "*.yml", "*.yaml", "*.log", // [setup-complete]
}

// copies are answer files of any name, and copies of one under another ending.
var copies = []string{"*.xml", "*unattend*"} // [answer-file-copies]

// SecretPlaces are all of them.
var SecretPlaces = []SecretPlace{
	{AnswerFiles, `\Windows\Panther`, copies, false},                                                                  // [answer-file-copies]
	{AnswerFiles, `\Windows\Panther\Unattend`, copies, false},                                                         // [answer-files]
	{AnswerFiles, `\Windows\Panther\UnattendGC`, []string{"*unattend*"}, false},                                       // [answer-file-copies]
	{AnswerFiles, `\Windows\Panther\*`, []string{"*unattend*"}, false},                                                // [answer-file-copies]
	{AnswerFiles, `\Windows\System32\Sysprep`, copies, false},                                                         // [answer-files]
	{AnswerFiles, `\Windows\System32\Sysprep\Panther`, []string{"*unattend*.xml"}, false},                             // [answer-file-copies]
	{AnswerFiles, `\Windows\System32\Sysprep\*`, []string{"*.xml"}, false},                                            // [answer-files]
	{AnswerFiles, `\Windows`, []string{"unattend.xml", "autounattend.xml"}, false},                                    // [answer-file-copies]
	{AnswerFiles, `\Windows\System32`, []string{"unattend.xml", "autounattend.xml"}, false},                           // [answer-file-copies]
	{AnswerFiles, `\$WINDOWS.~BT\Sources\Panther`, []string{"*unattend*.xml"}, false},                                 // [answer-file-copies]
	{AnswerFiles, `\Windows.old\Windows\Panther`, []string{"*unattend*.xml"}, false},                                  // [answer-file-copies]
	{AnswerFiles, `\Windows\ConfigSetRoot`, []string{"*.xml"}, false},                                                 // [configuration-sets]
	{AnswerFiles, `\Recovery\AutoApply`, []string{"*.xml"}, true},                                                     // [recovery-folders]
	{Scripts, `\Recovery\AutoApply\CustomizationFiles`, scripts, true},                                                // [recovery-folders]
	{Scripts, `\Recovery\OEM`, scripts, true},                                                                         // [recovery-folders]
	{AnswerFiles, `\`, copies, true},                                                                                  // [answer-files] [answer-files-media]
	{Scripts, `\Windows` + string(ScriptsFolder), scripts, false},                                                     // [setup-complete]
	{Scripts, `\Windows` + string(ScriptsFolder) + `\*`, scripts, false},                                              // [setup-complete]
	{Scripts, `\Windows\OEM`, scripts, false},                                                                         // [setup-complete]
	{Scripts, `\`, []string{"*.cmd", "*.bat", "*.ps1", "*.reg"}, true},                                                // [setup-complete]
	{Histories, `\Users\*` + psReadLine, []string{"*.txt"}, false},                                                    // [powershell-history]
	{Histories, `\Windows\System32\config\systemprofile` + psReadLine, []string{"*.txt"}, false},                      // [powershell-history]
	{Transcripts, `\Users\*\Documents`, []string{"powershell_transcript.*.txt"}, false},                               // [powershell-transcripts]
	{Transcripts, `\Users\*\Documents\*`, []string{"powershell_transcript.*.txt"}, false},                             // [powershell-transcript-days]
	{Transcripts, `\Windows\System32\config\systemprofile\Documents`, []string{"powershell_transcript.*.txt"}, false}, // [powershell-transcripts]
	{UserData, `\`, []string{"user-data", "user-data.*", "user_data", "meta-data", "vendor-data"}, true},              // [user-data]
	{UserData, `\openstack\*`, []string{"user_data", "meta_data.json", "vendor_data*.json"}, true},                    // [user-data]
	{UserData, `\Program Files\Cloudbase Solutions\Cloudbase-Init\conf`, []string{"*.conf", "*.xml"}, false},          // [user-data]
	{UserData, `\Program Files\Cloudbase Solutions\Cloudbase-Init\LocalScripts`, []string{"*"}, false},                // [user-data]
	{UserData, `\Program Files\Cloudbase Solutions\Cloudbase-Init\log`, []string{"*.log"}, false},                     // [user-data]
	{UserData, `\ProgramData\Amazon\EC2Launch\config`, []string{"*.yml", "*.yaml", "*.xml"}, false},                   // [user-data]
	{UserData, `\ProgramData\Amazon\EC2Launch\sysprep`, []string{"*.xml"}, false},                                     // [user-data]
	{UserData, `\ProgramData\Amazon\EC2-Windows\Launch\Config`, []string{"*.json", "*.xml"}, false},                   // [user-data]
	{UserData, `\ProgramData\Amazon\EC2-Windows\Launch\Sysprep`, []string{"*.xml", "*.cmd"}, false},                   // [user-data]
	{UserData, `\Program Files\Amazon\Ec2ConfigService`, []string{"sysprep*.xml"}, false},                             // [user-data]
	{UserData, `\Program Files\Amazon\Ec2ConfigService\Scripts`, scripts, false},                                      // [user-data]
	{UserData, `\Windows\Temp`, []string{"UserScript.ps1", "UserScript.bat", "UserScript.cmd"}, false},                // [user-data]
	{UserData, `\Windows\System32\config\systemprofile\AppData\Local\Temp\*`, []string{"userscript*"}, false},         // [user-data]
	{UserData, `\AzureData`, []string{"customdata*"}, false},                                                          // [user-data]
}

const psReadLine = `\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine` // [powershell-history]

// AutologonSecret is the key, in the hive SECURITY, of the password of the
// automatic logon where it is kept as a secret of the LSA.
const AutologonSecret = `Policy\Secrets\DefaultPassword` // [lsa-default-password]
