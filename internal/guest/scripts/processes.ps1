# processes.ps1 - lists every running sysprep.exe with its command line, and the marks of runs of this plugin that
# have started one (launch.ps1 moves them away with the old logs).
# No parameters. Changes nothing.
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

try {
    [void](Read-Parameter $Json)
    $folder = Join-Path -Path $env:windir -ChildPath 'Sysnative\Sysprep'
    if (-not [IO.Directory]::Exists($folder)) { $folder = Join-Path -Path $env:windir -ChildPath 'System32\Sysprep' }
    $found = @(foreach ($process in @(Get-CimInstance -ClassName 'Win32_Process' -Filter "Name='sysprep.exe'" -OperationTimeoutSec 60)) {
        $start = $null
        if ($null -ne $process.CreationDate) { $start = ([DateTime]$process.CreationDate).ToUniversalTime() }
        # Null where the caller may not read it.
        [ordered]@{ 'id' = [int]$process.ProcessId; 'session' = [int]$process.SessionId; 'start' = $start; 'commandLine' = $process.CommandLine }
    })
    $marks = @(foreach ($moved in @(Get-ChildItem -LiteralPath $folder -Directory -Force)) {
        if ($moved.Name -notlike 'Panther.packer-*') { continue }
        foreach ($file in @(Get-ChildItem -LiteralPath $moved.FullName -File -Force)) {
            if ($file.Name -like 'packer-*.mark') { [ordered]@{ 'folder' = $moved.Name; 'name' = $file.Name } }
        }
    })
    Write-Json ([ordered]@{ 'script' = 'processes'; 'schema' = 1; 'ok' = $true; 'time' = [DateTime]::UtcNow; 'processes' = $found; 'marks' = $marks })
    exit 0
}
catch { Write-Json ([ordered]@{ 'script' = 'processes'; 'schema' = 1; 'ok' = $false; 'error' = Get-ErrorFact 'script' $_ }); exit 1 }
