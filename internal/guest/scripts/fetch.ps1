# fetch.ps1 - reads files that others may be writing to, of a long one the end, into one zip on stdout. It is no file in the
# guest itself: it is run by -EncodedCommand (scripts.Inline). Changes nothing.
# Input: one line of base64, the parameters (UTF-8 JSON): files (paths), bytes (of one at most), total (of all at most).
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try {
    $line = "$(@($input)[0])".Trim([char]0xFEFF)
    if ($line -eq '') { throw 'nothing came' }
    $parameter = ConvertFrom-Json -InputObject ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)))
    Add-Type -AssemblyName 'System.IO.Compression'
    $memory = New-Object -TypeName 'IO.MemoryStream'
    $zip = New-Object -TypeName 'IO.Compression.ZipArchive' -ArgumentList @($memory, 'Create', $true)
    $left = $parameter.total
    $results = foreach ($file in $parameter.files) {
        try {
            $source = [IO.File]::Open($file, 'Open', 'Read', 'ReadWrite, Delete')
            try {
                $take = [Math]::Min($source.Length, $parameter.bytes)
                if ($take -gt $left) { throw 'there is too much' }
                [void]$source.Seek(-$take, 'End')
                $bytes = (New-Object -TypeName 'IO.BinaryReader' -ArgumentList $source).ReadBytes($take)
            }
            finally { $source.Dispose() }
            $left -= $take
            $sink = $zip.CreateEntry($file).Open()
            $sink.Write($bytes, 0, $bytes.Length)
            $sink.Dispose()
            'ok'
        }
        catch { $_.Exception.GetBaseException().GetType().Name }
    }
    $zip.Dispose()
    $bytes = $memory.ToArray()
    for ($at = 0; $at -lt $bytes.Length; $at += 500000) {
        [Console]::Out.WriteLine('{"script":"fetch","schema":1,"ok":true,"data":"' + [Convert]::ToBase64String($bytes, $at, [Math]::Min(500000, $bytes.Length - $at)) + '"}')
    }
    [Console]::Out.WriteLine('{"script":"fetch","schema":1,"ok":true,"size":' + $bytes.Length + ',"results":["' + ($results -join '","') + '"]}')
}
catch {
    [Console]::Out.WriteLine('{"script":"fetch","schema":1,"ok":false,"error":{"name":"failed","message":"' + ($_.Exception.GetBaseException().Message -replace '[^ !#-\[\]-~]', '?') + '"}}')
}
