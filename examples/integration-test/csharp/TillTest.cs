// A till against a small HQ, with Microsoft.Data.Sqlite. The program syncd must be on the PATH; it ends with 1 where a test fails.
using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Data.Sqlite;

var folder = Directory.CreateTempSubdirectory("till-").FullName;
using var devhub = Start("devhub --port 0 --json");
var url = JsonDocument.Parse(devhub.StandardOutput.ReadLine()!).RootElement.GetProperty("url").GetString()!;
using var daemon = Start("run",
    ("SYNCD_STORE__ID", "7"), ("SYNCD_DATABASE__PATH", $"{folder}/store.db"), ("SYNCD_HUB__URL", url), ("SYNCD_STATUS__PATH", $"{folder}/status.json"));
try
{
    using var http = new HttpClient { BaseAddress = new Uri(url.Replace("/hubs/sync", "/control/")) };
    await Until("syncd is connected", async () => (await Get("state")).GetProperty("connections").GetInt32() == 1);
    using var till = new SqliteConnection($"Data Source={folder}/store.db");
    till.Open();
    Sql("PRAGMA busy_timeout = 5000");

    // A sale reaches HQ.
    Sql("""
        INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority)
        VALUES ('Receipt', 1042, 'Create', '{"receiptId":1042,"total":"12.50"}', 2)
        """);
    await Until("HQ has the receipt", async () =>
        (await Get("items")).EnumerateArray().Any(item => item.GetProperty("entityId").ToString() == "1042"));

    // A price of HQ's is in the till's table.
    var price = new { productId = 7, price = 12.50m, currency = "EUR", updatedAt = DateTime.UtcNow };
    var pushed = await http.PostAsJsonAsync("push", new { method = "ReceivePriceUpdate", args = new[] { price } });
    pushed.EnsureSuccessStatusCode();
    await Until("the till has the price", () =>
        Task.FromResult(Sql("SELECT price FROM current_prices WHERE product_id = 7") is "12.50"));
    Console.WriteLine("passed");

    async Task<JsonElement> Get(string call) => await http.GetFromJsonAsync<JsonElement>(call);

    object? Sql(string text)
    {
        using var command = till.CreateCommand();
        command.CommandText = text;
        return command.ExecuteScalar();
    }
}
finally
{
    foreach (var process in new[] { daemon, devhub }) process.Kill();
}

static Process Start(string arguments, params (string Name, string Value)[] environment)
{
    var start = new ProcessStartInfo("syncd", arguments) { RedirectStandardOutput = arguments.StartsWith("devhub") };
    foreach (var (name, value) in environment) start.Environment[name] = value;
    return Process.Start(start)!;
}

static async Task Until(string what, Func<Task<bool>> condition)
{
    for (var end = DateTime.UtcNow.AddSeconds(60); !await condition(); await Task.Delay(20))
        if (DateTime.UtcNow > end) throw new TimeoutException("in vain: " + what);
}
