# expand.ps1 - unpacks a zip into a folder, with its empty folders; files that are there already are replaced.
# Changes: creates the folder and what the zip holds; the zip stays. Needs .NET 4.5 (Windows 8, Server 2012).
# Parameters: archive and to (full paths).
param([string]$Json = '')

#region common (the same lines in every script; test/run.ps1 compares them)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# JSON in plain ASCII. ConvertTo-Json is not used: 5.1 and 7 differ on wrapped arrays, dates and enums.
function ConvertTo-AsciiJson($Value) {
    if ($null -eq $Value) { return 'null' }
    if ($Value -is [bool]) { if ($Value) { return 'true' } else { return 'false' } }
    if ($Value -isnot [string]) {
        if ($Value -is [Collections.IDictionary]) {
            $members = foreach ($entry in $Value.GetEnumerator()) {
                (ConvertTo-AsciiJson "$($entry.Key)") + ':' + (ConvertTo-AsciiJson $entry.Value)
            }
            return '{' + ($members -join ',') + '}'
        }
        if ($Value -is [Collections.IEnumerable]) {
            $items = foreach ($item in $Value) { ConvertTo-AsciiJson $item }
            return '[' + ($items -join ',') + ']'
        }
        if ($Value -is [DateTime]) { return '"' + $Value.ToUniversalTime().ToString('o') + '"' }
        if ($Value -is [ValueType] -and $Value.GetType().IsPrimitive -and $Value -isnot [char]) { return "$Value" }
    }
    $text = "$Value".Replace('\', '\\').Replace('"', '\"')
    if ($text -match '[^ -~]') { $text = [regex]::Replace($text, '[^ -~]', { param($match) '\u{0:x4}' -f [int][char]$match.Value }) }
    return '"' + $text + '"'
}

function Write-Json($Value) { [Console]::Out.WriteLine((ConvertTo-AsciiJson $Value)) }

function Get-ErrorFact([string]$Name, $Record) {
    $reason = $Record.Exception.GetBaseException()
    return [ordered]@{
        'name' = $Name; 'message' = "$($reason.Message)"; 'type' = $reason.GetType().FullName
        'id' = "$($Record.FullyQualifiedErrorId)"; 'line' = [int]$Record.InvocationInfo.ScriptLineNumber
    }
}

# One argument, base64 of UTF-8 JSON; nothing given means no parameters.
function Read-Parameter([string]$Encoded) {
    if ($Encoded -eq '') { return New-Object -TypeName 'PSObject' }
    $text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($Encoded))
    return ConvertFrom-Json -InputObject $text
}

# %windir%\x becomes a full path; separators are those of the running system.
function Get-FullPath([string]$Path) {
    $expanded = [Environment]::ExpandEnvironmentVariables($Path)
    return $expanded.Replace('\', "$([IO.Path]::DirectorySeparatorChar)")
}
#endregion
function Write-Failure([string]$Name, $Record, [int]$Code) {
    Write-Json ([ordered]@{ 'script' = 'expand'; 'schema' = 1; 'ok' = $false; 'error' = Get-ErrorFact $Name $Record })
    exit $Code
}

try {
    $parameter = Read-Parameter $Json
    if ("$($parameter.archive)" -eq '') { throw 'archive is missing' }
    if ("$($parameter.to)" -eq '') { throw 'to is missing' }
    $archive = Get-FullPath "$($parameter.archive)"
    $to = Get-FullPath "$($parameter.to)"
    if (-not [IO.Path]::IsPathRooted($archive)) { throw 'archive is not a full path' }
    if (-not [IO.Path]::IsPathRooted($to)) { throw 'to is not a full path' }
    $separator = "$([IO.Path]::DirectorySeparatorChar)"
    $root = [IO.Path]::GetFullPath($to)
    if (-not $root.EndsWith($separator)) { $root = $root + $separator }
}
catch { Write-Failure 'bad-parameters' $_ 2 }

try {
    Add-Type -AssemblyName 'System.IO.Compression'
    $files = [long]0
    $folders = [long]0
    $total = [long]0
    $source = [IO.File]::Open($archive, 'Open', 'Read', 'Read')
    try {
        if (-not [IO.Directory]::Exists($root)) { [void][IO.Directory]::CreateDirectory($root) }
        $zip = New-Object -TypeName 'IO.Compression.ZipArchive' -ArgumentList @($source, [IO.Compression.ZipArchiveMode]::Read)
        try {
            foreach ($entry in $zip.Entries) {
                $name = "$($entry.FullName)"
                $target = [IO.Path]::GetFullPath([IO.Path]::Combine($root, $name.Replace('/', $separator)))
                if (-not $target.StartsWith($root, 'OrdinalIgnoreCase')) { throw "the entry '$name' would be outside of the folder" }
                if ($name.EndsWith('/')) {
                    [void][IO.Directory]::CreateDirectory($target)
                    $folders += 1
                    continue
                }
                [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
                $from = $entry.Open()
                try {
                    $sink = [IO.File]::Open($target, 'Create', 'Write', 'None')
                    try { $from.CopyTo($sink) } finally { $sink.Dispose() }
                }
                finally { $from.Dispose() }
                $files += 1
                $total += [long]$entry.Length
            }
        }
        finally { $zip.Dispose() }
    }
    finally { $source.Dispose() }
    Write-Json ([ordered]@{ 'script' = 'expand'; 'schema' = 1; 'ok' = $true; 'path' = $to; 'files' = $files; 'folders' = $folders; 'bytes' = $total })
    exit 0
}
catch {
    $reason = $_.Exception.GetBaseException()
    if ($reason -is [IO.FileNotFoundException] -or $reason -is [IO.DirectoryNotFoundException]) { Write-Failure 'not-found' $_ 0 }
    if ($reason -is [UnauthorizedAccessException]) { Write-Failure 'access-denied' $_ 0 }
    if ($reason -is [IO.IOException]) { Write-Failure 'io' $_ 0 }
    Write-Failure 'script' $_ 1
}
