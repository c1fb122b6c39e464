/** Ask once, as any Java program would: java Client URL */
public class Client {
    public static void main(String[] arguments) throws Exception {
        try (var answer = java.net.URI.create(arguments[0]).toURL().openStream()) {
            answer.transferTo(System.out);
        }
    }
}
