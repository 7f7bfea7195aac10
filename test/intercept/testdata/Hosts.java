import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Asks an AWS host name for things by each of Java's own clients, which cannot be given a proxy's credentials by a setting. */
public class Hosts {
    public static void main(String[] args) throws Exception {
        URI sqs = URI.create("https://sqs.us-east-1.amazonaws.com/?Action=ListQueues&Version=2012-11-05");
        System.out.println("url " + ((HttpURLConnection) sqs.toURL().openConnection()).getResponseCode());
        HttpRequest request = HttpRequest.newBuilder(sqs).build();
        System.out.println("client " + HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding()).statusCode());
    }
}
