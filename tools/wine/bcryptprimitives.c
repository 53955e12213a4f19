/* Go takes its random numbers from ProcessPrng of bcryptprimitives.dll, which
   Wine 8 does not have. Wine loads this one from beside the program. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    const ULONG most = 1 << 16; /* RtlGenRandom takes a ULONG */
    while (size > 0) {
        ULONG n = size < most ? (ULONG)size : most;
        if (!RtlGenRandom(data, n))
            return FALSE;
        data += n;
        size -= n;
    }
    return TRUE;
}
