# fetch.ps1 - reads files that others may be writing to, of a long one the end, into one zip on stdout. It is no file in the
# guest itself: it is run by -EncodedCommand (scripts.Inline). Changes nothing.
# Input: one line of base64, the parameters (UTF-8 JSON): files (paths), bytes (of one at most), total (of all at most).
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$answer = '{"script":"fetch","schema":1,"ok":'
try {
    $line = "$(@($input)[0])".Trim([char]0xFEFF)
    if (!$line) { throw 'nothing came' }
    $given = ConvertFrom-Json -InputObject ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)))
    Add-Type -AssemblyName System.IO.Compression
    $memory = New-Object -TypeName IO.MemoryStream
    $zip = New-Object -TypeName IO.Compression.ZipArchive -ArgumentList $memory, 'Create', $true
    $left = $given.total
    $results = foreach ($file in $given.files) {
        try {
            $source = [IO.File]::Open($file, 'Open', 'Read', 'ReadWrite, Delete')
            try {
                $take = [Math]::Min($source.Length, $given.bytes)
                if ($take -gt $left) { throw 'there is too much' }
                [void]$source.Seek(-$take, 'End')
                $bytes = (New-Object -TypeName IO.BinaryReader -ArgumentList $source).ReadBytes($take)
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
    $size = $bytes.Length
    for ($at = 0; $at -lt $size; $at += 500000) {
        [Console]::Out.WriteLine($answer + 'true,"data":"' + [Convert]::ToBase64String($bytes, $at, [Math]::Min(500000, $size - $at)) + '"}')
    }
    [Console]::Out.WriteLine($answer + 'true,"size":' + $size + ',"results":["' + ($results -join '","') + '"]}')
}
catch {
    [Console]::Out.WriteLine($answer + 'false,"error":{"name":"failed","message":"' + ($_.Exception.GetBaseException().Message -replace '[^ !#-\[\]-~]', '?') + '"}}')
}
