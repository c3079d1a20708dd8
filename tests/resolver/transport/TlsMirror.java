import java.io.DataInputStream;
import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * Takes a stream in TLS as a mirror that runs in Java does: TLS of the platform over the socket that has asked, suites
 * of TLS 1.2 only, trust in one key. Arguments: port, request, key of the site (both hex). Writes what was said.
 */
final class TlsMirror {
    private static final List<String> SUITES = List.of(
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256");

    /** Trusts whoever has the key. */
    private record OneKey(byte[] key) implements X509TrustManager {
        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
            if (!Arrays.equals(chain[0].getPublicKey().getEncoded(), key)) {
                throw new CertificateException("another key");
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
            throw new CertificateException("no server");
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    public static void main(String[] arguments) throws Exception {
        Socket socket = new Socket("127.0.0.1", Integer.parseInt(arguments[0]));
        socket.setSoTimeout(60_000);
        socket.getOutputStream().write(HexFormat.of().parseHex(arguments[1]));
        DataInputStream plain = new DataInputStream(socket.getInputStream());
        plain.readFully(new byte[16]);
        plain.readFully(new byte[plain.readInt()]);
        if (plain.readInt() != 0x544C5300) {
            throw new IllegalStateException("no mark of TLS");
        }
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new OneKey(HexFormat.of().parseHex(arguments[2]))}, null);
        try (SSLSocket secured =
                (SSLSocket) context.getSocketFactory().createSocket(socket, "mirrored", socket.getPort(), true)) {
            List<String> suites = new ArrayList<>(SUITES);
            suites.retainAll(Arrays.asList(secured.getSupportedCipherSuites()));
            secured.setEnabledCipherSuites(suites.toArray(new String[0]));
            secured.setUseClientMode(true);
            secured.getInputStream().transferTo(System.out);
            System.out.flush();
        }
    }
}
