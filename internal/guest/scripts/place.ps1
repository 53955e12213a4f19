# place.ps1 - puts small files in place. It is no file in the guest itself: it is run by -EncodedCommand (scripts.Inline).
# Changes: makes the folders of private anew, for SYSTEM and Administrators only; writes the files, in place of those of their names.
# Input: lines of base64: the parameters (UTF-8 JSON), then a zip whose only entry is the content of all files, one behind the other.
# Parameters: zip (where it is kept meanwhile), sha256 (of the zip), private (folders), files (list of path and size).
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$answer = '{"script":"place","schema":1,"ok":'
function Get-FullPath($Path) { [Environment]::ExpandEnvironmentVariables($Path) }
try {
    $first, $rest = @($input)
    $first = "$first".Trim([char]0xFEFF)
    if (!$first) { throw 'nothing came' }
    $given = ConvertFrom-Json -InputObject ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($first)))
    foreach ($folder in $given.private) {
        $path = Get-FullPath $folder
        if ([IO.Directory]::Exists($path)) { [IO.Directory]::Delete($path, $true) }
        [void][IO.Directory]::CreateDirectory($path)
        [void](icacls.exe $path /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F')
        if ($LASTEXITCODE -ne 0) { throw "icacls returned $LASTEXITCODE" }
    }
    $zip = Get-FullPath $given.zip
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($zip))
    try {
        [IO.File]::WriteAllBytes($zip, [Convert]::FromBase64String($rest -join ''))
        $sha256 = (Get-FileHash -LiteralPath $zip).Hash
        if ($sha256 -ne $given.sha256) { throw 'hash-mismatch' }
        Add-Type -AssemblyName System.IO.Compression.FileSystem
        $archive = [IO.Compression.ZipFile]::OpenRead($zip)
        try {
            $reader = New-Object -TypeName IO.BinaryReader -ArgumentList $archive.Entries[0].Open()
            foreach ($file in $given.files) {
                $path = Get-FullPath $file.path
                [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($path))
                [IO.File]::WriteAllBytes("$path.part", $reader.ReadBytes($file.size))
                if ([IO.File]::Exists($path)) { [IO.File]::SetAttributes($path, 'Normal') }
                [IO.File]::Delete($path)
                [IO.File]::Move("$path.part", $path)
            }
        }
        finally { $archive.Dispose() }
    }
    finally { [IO.File]::Delete($zip) }
    [Console]::Out.WriteLine($answer + 'true,"sha256":"' + $sha256 + '"}')
}
catch {
    $reason = $_.Exception.GetBaseException()
    [Console]::Out.WriteLine($answer + 'false,"error":{"name":"failed","type":"' + $reason.GetType() + '","message":"' + ($reason.Message -replace '[^ !#-\[\]-~]', '?') + '"}}')
}
