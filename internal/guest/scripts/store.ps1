# store.ps1 - writes one file from its input. It is no file in the guest itself: it is run by -EncodedCommand (scripts.Inline).
# Changes: writes <path>.<first 8 of sha256>.part, then renames it to path, replacing it.
# Input: lines of base64: the parameters (UTF-8 JSON), then the bytes. PowerShell hands each line to the process block as $input.
# Parameters: path, size, sha256, offset (resume: bytes of the part file to keep), probe (only say what is there).
begin {
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue'
    $parameter = $null
    $stream = $null
    function Write-Answer($Rest) {
        [Console]::Out.WriteLine('{"script":"store","schema":1,' + $Rest + '}')
        exit 0
    }
    function Write-Refusal($Name, $Message) {
        Write-Answer ('"ok":false,"error":{"name":"' + $Name + '","message":"' + ($Message -replace '[^ !#-\[\]-~]', '?') + '"}')
    }
    function Get-Hash($Path) { return (Get-FileHash -LiteralPath $Path).Hash.ToLowerInvariant() }
}
process {
    $line = "$input".Trim().Trim([char]0xFEFF)
    if ($line -eq '') { return }
    try {
        if ($null -eq $parameter) {
            $parameter = ConvertFrom-Json -InputObject ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)))
            $path = [Environment]::ExpandEnvironmentVariables($parameter.path).Replace('\', "$([IO.Path]::DirectorySeparatorChar)")
            $part = $path + '.' + $parameter.sha256.Substring(0, 8) + '.part'
            $size = [long]$parameter.size
            $offset = [long]$parameter.offset
            $have = [long]0
            if ([IO.File]::Exists($part)) { $have = [long](Get-Item -LiteralPath $part -Force).Length }
            if ($parameter.probe) {
                $same = [IO.File]::Exists($path) -and [long](Get-Item -LiteralPath $path -Force).Length -eq $size -and (Get-Hash $path) -eq $parameter.sha256
                Write-Answer ('"ok":true,"have":' + $have + ',"complete":' + "$same".ToLowerInvariant())
            }
            if ([IO.Directory]::Exists($path)) { Write-Refusal 'access-denied' 'it is a folder' }
            if ($offset -gt $have) { Write-Refusal 'resume-mismatch' "offset $offset is beyond the $have bytes received" }
            [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($path))
            $stream = [IO.File]::Open($part, 'OpenOrCreate', 'Write', 'Read')
            $stream.SetLength($offset)
            [void]$stream.Seek($offset, 'Begin')
        }
        else {
            $bytes = [Convert]::FromBase64String($line)
            $stream.Write($bytes, 0, $bytes.Length)
        }
        if ($stream.Position -ge $size) {
            $stream.Dispose()
            $sha256 = Get-Hash $part
            if ($sha256 -ne $parameter.sha256) {
                [IO.File]::Delete($part)
                Write-Refusal 'hash-mismatch' 'the bytes received have another SHA-256'
            }
            if ([IO.File]::Exists($path)) { [IO.File]::SetAttributes($path, 'Normal') }
            [IO.File]::Delete($path)
            [IO.File]::Move($part, $path)
            Write-Answer ('"ok":true,"have":' + $size + ',"complete":true,"sha256":"' + $sha256 + '"')
        }
    }
    catch {
        $reason = $_.Exception.GetBaseException()
        if ($reason -is [FormatException]) { Write-Refusal 'bad-base64' $reason.Message }
        if ($reason -is [UnauthorizedAccessException]) { Write-Refusal 'access-denied' $reason.Message }
        if ($reason -is [IO.IOException]) { Write-Refusal 'io' $reason.Message }
        Write-Refusal 'script' $reason.Message
    }
}
end {
    if ($null -eq $stream) { Write-Refusal 'no-input' 'nothing came' }
    $have = $stream.Position
    $stream.Dispose()
    Write-Answer ('"ok":true,"have":' + $have + ',"complete":false')
}
