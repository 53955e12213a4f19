package windows

// Names of an answer file that Windows looks for by itself.
const (
	Unattend     = "Unattend.xml"     // [answer-files]
	AutoUnattend = "Autounattend.xml" // [answer-files]
)

// CachedAnswerFile is where Windows keeps the answer file that it works with.
const (
	cachedName       = "unattend.xml"               // [cached-answer-file]
	CachedAnswerFile = SetupLogs + `\` + cachedName // [cached-answer-file]
)

// Origin is how Windows finds an answer file.
type Origin uint8

// Origins of an answer file.
const (
	FromPointer Origin = iota // [answer-files] a value in the registry names it
	FromWindows               // [answer-files] a folder below the Windows folder
	FromCache                 // [cached-answer-file] what sysprep was given, or what was used last
	FromMedia                 // [answer-files-media] the root of a removable drive
	FromRoot                  // [answer-files] the root of the system drive
)

// Place is one place where Windows looks for an answer file by itself.
type Place struct {
	From   Origin
	Folder Path // of FromWindows and FromCache
	Names  []string
}

// AnswerFileOrder is the order in which Windows looks for the answer file of
// the passes after a generalize.
var AnswerFileOrder = []Place{
	{From: FromPointer}, // [answer-files]
	{FromWindows, SetupLogs + `\Unattend`, []string{Unattend, AutoUnattend}}, // [answer-files]
	{FromCache, SetupLogs, []string{cachedName}},                             // [cached-answer-file]
	{FromMedia, "", []string{Unattend, AutoUnattend}},                        // [answer-files-media]
	{FromWindows, SysprepFolder, []string{Unattend, AutoUnattend}},           // [answer-files]
	{FromRoot, "", []string{Unattend, AutoUnattend}},                         // [answer-files]
}
